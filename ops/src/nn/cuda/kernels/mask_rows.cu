// The same as `mask` for vectors: gradient = 0 where the output of the ReLU is 0 (if there is one), and
// bias[column] = sum of the gradient over the rows, in their order.
//
// Launch: blocks (ceil(columns / 256)), 256 threads. `kept`: images between layers, else single precision.

extern "C" __global__ void mask_rows(const value* output, int relu, int rows, int columns, int kept, void* gradient, float* bias) {
    const int column = blockIdx.x * blockDim.x + threadIdx.x;
    if (column >= columns) return;
    float sum = 0.0f;
    for (int row = 0; row < rows; row++) {
        const size_t at = size_t(row) * columns + column;
        float d = kept ? number(((value*)gradient)[at]) : ((float*)gradient)[at];
        if (relu && !(number(output[at]) > 0.0f)) {
            d = 0.0f;
            if (kept) keep(((value*)gradient)[at], d);
        }
        sum += d;
    }
    bias[column] = sum;
}
