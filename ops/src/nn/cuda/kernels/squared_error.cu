// errors[clip, part] = sum over the part's pixels of (made - clip)^2 and gradient = 2 scale (made - clip), scale being read from `factor` if
// that is given. Without `gradient`, only the errors.
//
// A part is a share of a clip's pixels. Launch: blocks (parts, clips), 256 threads; each thread adds its pixels in order, the block adds its threads as a tree.

extern "C" __global__ void squared_error(const value* made, const value* clips, int width, float scale, const double* factor,
                                         value* gradient, double* errors) {
    __shared__ double shared[256];
    const size_t start = size_t(blockIdx.y) * width;
    const int each = (width + gridDim.x - 1) / gridDim.x, first = blockIdx.x * each, end = first + each < width ? first + each : width;
    if (factor) scale = float(*factor);
    float sum = 0.0f;
    for (int pixel = first + threadIdx.x; pixel < end; pixel += blockDim.x) {
        const float apart = number(made[start + pixel]) - number(clips[start + pixel]);
        if (gradient) store(gradient[start + pixel], 2.0f * scale * apart);
        sum += apart * apart;
    }
    const double all = sum_over_block(double(sum), shared);
    if (threadIdx.x == 0) errors[blockIdx.y * gridDim.x + blockIdx.x] = all;
}
