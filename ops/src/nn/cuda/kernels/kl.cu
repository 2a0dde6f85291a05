// nats[unit] = 1/2 (sigma^2 + mu^2 - log sigma^2 - 1), averaged over the rows of the batch.
//
// Launch: blocks (units), 256 threads; each adds its rows in order, the block adds its threads as a tree.

extern "C" __global__ void kl(const float* mean, const float* log_variance, int rows, float* nats) {
    __shared__ float shared[256];
    const int unit = blockIdx.x, units = gridDim.x;
    float sum = 0.0f;
    for (int row = threadIdx.x; row < rows; row += blockDim.x) {
        const float mu = mean[row * units + unit], log_var = clamped(log_variance[row * units + unit]);
        sum += 0.5f * (expf(log_var) + mu * mu - log_var - 1.0f);
    }
    sum = sum_over_block(sum, shared);
    if (threadIdx.x == 0) nats[unit] = sum / rows;
}
