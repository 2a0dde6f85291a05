// nats[unit] = 1/2 (sigma^2 + mu^2 - log sigma^2 - 1), averaged over the rows of the batch in their order.
//
// Launch: blocks (units), 32 threads, of which one adds: rows are few, and their order is fixed.

extern "C" __global__ void kl(const float* mean, const float* log_variance, int rows, float* nats) {
    const int unit = blockIdx.x, units = gridDim.x;
    if (threadIdx.x != 0) return;
    float sum = 0.0f;
    for (int row = 0; row < rows; row++) {
        const float mu = mean[row * units + unit], log_var = held(log_variance[row * units + unit]);
        sum += 0.5f * (expf(log_var) + mu * mu - log_var - 1.0f);
    }
    nats[unit] = sum / rows;
}
