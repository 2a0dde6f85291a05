// Adds the gradient of the total correlation to that of the samples, and begins with it those of the latent means and of the
// logarithms of their variances. With d(i, j, k) = (shares[i, j] - exp(l(i, j, k) - sums[i, 1 + k])) / clips, the gradient of
// l(i, j, k), and x = sample i - mean j in unit k:
// d_sample[i, k] -= weight sum over j of d x / sigma^2, d_mean[j, k] = weight sum over i of d x / sigma^2,
// d_log_variance[j, k] = weight sum over i of d / 2 (x^2 / sigma^2 - 1).
//
// Launch: blocks (units, clips), 256 threads; each adds its clips in order, the block adds its threads as a tree.

extern "C" __global__ void correlation_backward(const float* sample, const float* mean, const float* log_variance, const double* shares,
                                                const double* sums, const float* slopes, float* d_sample, float* d_mean,
                                                float* d_log_variance) {
    __shared__ double shared[256];
    const int units = gridDim.x, clips = gridDim.y, k = blockIdx.x, own = blockIdx.y;
    const auto slope = [&](int i, int j, const Density& it) {
        return (shares[size_t(i) * clips + j] - exp(it.log - sums[size_t(i) * (units + 1) + 1 + k])) / clips;
    };
    const auto at = [&](int i, int j) { return density(sample[i * units + k], mean[j * units + k], log_variance[j * units + k]); };
    double as_sample = 0.0, as_mean = 0.0, as_variance = 0.0;
    for (int other = threadIdx.x; other < clips; other += blockDim.x) {
        const Density from = at(own, other), to = at(other, own);
        as_sample -= slope(own, other, from) * from.apart * from.precision;
        const double d = slope(other, own, to);
        as_mean += d * to.apart * to.precision;
        as_variance += 0.5 * d * (to.apart * to.apart * to.precision - 1.0);
    }
    as_sample = sum_over_block(as_sample, shared);
    as_mean = sum_over_block(as_mean, shared);
    as_variance = sum_over_block(as_variance, shared);
    if (threadIdx.x != 0) return;
    const int place = own * units + k;
    d_sample[place] += float(slopes[1] * as_sample);
    d_mean[place] = float(slopes[1] * as_mean);
    d_log_variance[place] = float(slopes[1] * as_variance);
}
