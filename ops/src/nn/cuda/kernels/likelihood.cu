// The negative logarithm of the Gaussian density of the batch around its reconstruction, at the variance m that makes it
// likeliest (Rybkin et al., 2021): m = sum of errors / count, log sigma = -6 + log(1 + exp(log m / 2 + 6)), and
// found = {scale (log(2 pi) / 2 + log sigma + m / (2 sigma^2)), its derivative by the sum of errors}.
//
// Launch: one block of 256 threads; each adds its terms in order, the block adds its threads as a tree.

extern "C" __global__ void likelihood(const double* errors, int parts, double count, double scale, double* found) {
    __shared__ double shared[256];
    double sum = 0.0;
    for (int part = threadIdx.x; part < parts; part += blockDim.x) sum += errors[part];
    const double mean = fmax(sum_over_block(sum, shared) / count, 1e-30);
    if (threadIdx.x != 0) return;
    const double above = 0.5 * log(mean) + 6.0, softly = exp(-above);
    const double log_deviation = above - 6.0 + log1p(softly), precision = exp(-2.0 * log_deviation);
    found[0] = scale * (0.9189385332046727 + log_deviation + 0.5 * mean * precision);
    found[1] = scale / count * (0.5 * precision + (1.0 - mean * precision) * 0.5 / mean / (1.0 + softly));
}
