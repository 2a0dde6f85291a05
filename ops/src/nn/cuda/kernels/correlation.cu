// The total correlation of the latent units by minibatch weighted sampling (Chen et al., 2018). With the logarithm of the
// density l(i, j, k) of unit k of sample i around the mean of clip j, in double precision:
// sums[i, 0] = log sum over j of exp(sum over k of l(i, j, k)), sums[i, 1 + k] = log sum over j of exp l(i, j, k), and
// shares[i, j] = exp(sum over k of l(i, j, k) - sums[i, 0]).
//
// Launch: blocks (1 + units, clips), 256 threads; each adds its clips in order, the block adds its threads as a tree.

struct Density {
    double apart, precision, log;
};

__device__ inline Density density(float sample, float mean, float log_variance) {
    const double log_var = clamped(log_variance), apart = double(sample) - double(mean), precision = exp(-log_var);
    return {apart, precision, -0.5 * (1.8378770664093453 + log_var + apart * apart * precision)};
}

__device__ inline double most_over_block(double x, double* shared) {
    shared[threadIdx.x] = x;
    __syncthreads();
    for (int half = blockDim.x / 2; half > 0; half /= 2) {
        if (threadIdx.x < half) shared[threadIdx.x] = fmax(shared[threadIdx.x], shared[threadIdx.x + half]);
        __syncthreads();
    }
    const double most = shared[0];
    __syncthreads();
    return most;
}

extern "C" __global__ void correlation(const float* sample, const float* mean, const float* log_variance, double* shares, double* sums) {
    __shared__ double shared[256];
    const int units = gridDim.x - 1, clips = gridDim.y, i = blockIdx.y;
    const int first = blockIdx.x == 0 ? 0 : blockIdx.x - 1, end = blockIdx.x == 0 ? units : blockIdx.x;
    const auto log_density = [&](int j) {
        double sum = 0.0;
        for (int k = first; k < end; k++) sum += density(sample[i * units + k], mean[j * units + k], log_variance[j * units + k]).log;
        return sum;
    };
    double most = -1e300, sum = 0.0;
    for (int j = threadIdx.x; j < clips; j += blockDim.x) most = fmax(most, log_density(j));
    most = most_over_block(most, shared);
    for (int j = threadIdx.x; j < clips; j += blockDim.x) sum += exp(log_density(j) - most);
    sum = most + log(sum_over_block(sum, shared));
    if (threadIdx.x == 0) sums[i * gridDim.x + blockIdx.x] = sum;
    if (blockIdx.x != 0) return;
    for (int j = threadIdx.x; j < clips; j += blockDim.x) shares[size_t(i) * clips + j] = exp(log_density(j) - sum);
}
