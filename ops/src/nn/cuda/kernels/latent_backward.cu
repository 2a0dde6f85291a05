// From the gradient of the sample to those of the latent mean and of the logarithm of its variance, with
// that of the KL term: weight = slopes[0] / rows where the unit's nats count (they are not below
// the free bits), else 0; d_mean = d + weight mu, d_log_variance = 1/2 (d noise sigma + weight (sigma^2 - 1)).
//
// With `add`, both are added to what is there. Where the logarithm was clamped at its border, its gradient is 0.
// Launch: blocks (ceil(length / 256)), 256 threads.

extern "C" __global__ void latent_backward(const float* d_sample, const float* mean, const float* log_variance, const float* noise,
                                           const float* nats, const float* slopes, float free_bits, int rows, int units, int add,
                                           float* d_mean, float* d_log_variance) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= rows * units) return;
    const bool counts = !(free_bits > 0.0f) || nats[i % units] >= free_bits;
    const float weight = counts ? slopes[0] / rows : 0.0f;
    const float log_var = clamped(log_variance[i]);
    const float own = 0.5f * (d_sample[i] * noise[i] * expf(0.5f * log_var) + weight * (expf(log_var) - 1.0f));
    d_mean[i] = (add ? d_mean[i] : 0.0f) + d_sample[i] + weight * mean[i];
    d_log_variance[i] = log_var == log_variance[i] ? (add ? d_log_variance[i] : 0.0f) + own : 0.0f;
}
