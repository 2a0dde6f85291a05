// Batch normalisation, per channel over images and pixels: y = gamma (x - mean) s + beta, s = 1 / sqrt(variance + 1e-5),
// then ReLU. One block a channel; sums in double precision.
//
// norm_measure (training): scale[channel] = {mean, s} of the batch; the running mean and the unbiased
// running variance move a tenth of the way. norm_recall (not training): scale from the running ones.
// Launch of all but norm_apply: blocks (channels), 256 threads; norm_apply: blocks (ceil(numbers / 256)), 256 threads.

extern "C" __global__ void norm_measure(const value* input, int pixels, float* statistics, double* scale) {
    __shared__ double shared[256];
    const int channel = blockIdx.x, channels = gridDim.x;
    const double count = pixels;
    double sum = 0.0;
    for (int pixel = threadIdx.x; pixel < pixels; pixel += blockDim.x) sum += number(input[size_t(pixel) * channels + channel]);
    const double mean = sum_over_block(sum, shared) / count;
    sum = 0.0;
    for (int pixel = threadIdx.x; pixel < pixels; pixel += blockDim.x) {
        const double apart = number(input[size_t(pixel) * channels + channel]) - mean;
        sum += apart * apart;
    }
    const double squares = sum_over_block(sum, shared);
    if (threadIdx.x != 0) return;
    const double variance = squares / count, unbiased = count > 1.0 ? squares / (count - 1.0) : variance;
    scale[2 * channel] = mean;
    scale[2 * channel + 1] = 1.0 / sqrt(variance + 1e-5);
    float* running = statistics + channel;
    running[0] = float(running[0] * 0.9 + mean * 0.1);
    running[channels] = float(running[channels] * 0.9 + unbiased * 0.1);
}

extern "C" __global__ void norm_recall(const float* statistics, double* scale) {
    const int channel = blockIdx.x, channels = gridDim.x;
    if (threadIdx.x != 0) return;
    scale[2 * channel] = statistics[channel];
    scale[2 * channel + 1] = 1.0 / sqrt(double(statistics[channels + channel]) + 1e-5);
}

extern "C" __global__ void norm_apply(const value* input, const float* gamma, const double* scale, int channels, int length, int relu, value* output) {
    const int at = blockIdx.x * blockDim.x + threadIdx.x, channel = at % channels;
    if (at >= length) return;
    const double factor = gamma[channel] * scale[2 * channel + 1];
    const float by = float(factor), offset = float(gamma[channels + channel] - scale[2 * channel] * factor);
    const float x = number(input[at]) * by + offset;
    store(output[at], relu && x < 0.0f ? 0.0f : x);
}

// gradient of the output becomes, in place, that of the input: gamma s (d - (mean of d + unit mean of d unit)),
// with unit = (x - mean) s; d_gamma = sum of d unit, d_beta = sum of d.
extern "C" __global__ void norm_backward(const value* input, const value* output, const float* gamma, const double* scale,
                                         int pixels, int relu, value* gradient, float* d_gamma) {
    __shared__ double shared[256];
    const int channel = blockIdx.x, channels = gridDim.x;
    const double mean = scale[2 * channel], s = scale[2 * channel + 1], count = pixels;
    double with_unit = 0.0, plain = 0.0;
    for (int pixel = threadIdx.x; pixel < pixels; pixel += blockDim.x) {
        const size_t at = size_t(pixel) * channels + channel;
        const double d = relu && !(number(output[at]) > 0.0f) ? 0.0 : number(gradient[at]);
        with_unit += d * ((number(input[at]) - mean) * s);
        plain += d;
    }
    with_unit = sum_over_block(with_unit, shared);
    plain = sum_over_block(plain, shared);
    if (threadIdx.x == 0) {
        d_gamma[channel] = float(with_unit);
        d_gamma[channels + channel] = float(plain);
    }
    for (int pixel = threadIdx.x; pixel < pixels; pixel += blockDim.x) {
        const size_t at = size_t(pixel) * channels + channel;
        const double d = relu && !(number(output[at]) > 0.0f) ? 0.0 : number(gradient[at]);
        const double even = (plain + (number(input[at]) - mean) * s * with_unit) / count;
        store(gradient[at], float(gamma[channel] * s * (d - even)));
    }
}
