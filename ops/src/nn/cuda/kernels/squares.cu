// parts[block] = sum of the squares of a part of the gradient, in double precision.
//
// Launch: 256 blocks of 256 threads, whatever the length, so that the order is fixed.

extern "C" __global__ void squares(const float* gradient, int length, double* parts) {
    __shared__ double shared[256];
    double sum = 0.0;
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < length; i += gridDim.x * blockDim.x)
        sum += double(gradient[i]) * gradient[i];
    sum = sum_over_block(sum, shared);
    if (threadIdx.x == 0) parts[blockIdx.x] = sum;
}
