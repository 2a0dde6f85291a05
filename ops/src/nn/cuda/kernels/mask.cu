// gradient = 0 where the output of the ReLU is 0 (if there is one), and
// parts[part, channel] = sum of the gradient over the images and pixels of the part: that of the bias.
//
// A part is `each` images. Launch: blocks (channels, parts), 256 threads.

extern "C" __global__ void mask(const value* output, int relu, int images, int each, int channels, int area, value* gradient, float* parts) {
    __shared__ float room[256];
    const int channel = blockIdx.x, first = blockIdx.y * each, end = first + each < images ? first + each : images;
    float sum = 0.0f;
    for (int image = first; image < end; image++) {
        const size_t start = (size_t(image) * channels + channel) * area;
        for (int pixel = threadIdx.x; pixel < area; pixel += blockDim.x) {
            float d = number(gradient[start + pixel]);
            if (relu && !(number(output[start + pixel]) > 0.0f)) {
                d = 0.0f;
                keep(gradient[start + pixel], d);
            }
            sum += d;
        }
    }
    sum = sum_over_block(sum, room);
    if (threadIdx.x == 0) parts[blockIdx.y * channels + channel] = sum;
}
