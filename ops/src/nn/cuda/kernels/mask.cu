// gradient = 0 where the output of the ReLU is 0 (if there is one), and
// parts[part, channel] = sum of the gradient over the rows of the part: that of the bias.
//
// A row has `channels` numbers: of a pixel of an image, or of a vector. A part is `each` rows. `kept`: numbers of images,
// else single precision without ReLU. A thread has VALUES neighbouring channels. Launch: blocks (parts, ceil(runs / 256)),
// 256 threads, a run being VALUES channels.

extern "C" __global__ void mask(const value* output, int relu, int rows, int each, int channels, int kept, void* gradient, float* parts) {
    __shared__ float room[VALUES][256];
    const int runs = (channels + VALUES - 1) / VALUES, across = runs < 256 ? runs : 256, at_once = 256 / across;
    const int run = blockIdx.y * 256 + threadIdx.x % across, place = threadIdx.x / across;
    const int first = blockIdx.x * each, end = first + each < rows ? first + each : rows;
    const bool any = place < at_once && run < runs;
    float sums[VALUES];
    for (int v = 0; v < VALUES; v++) sums[v] = 0.0f;
    for (int row = first + place; any && row < end; row += at_once) {
        const size_t at = size_t(row) * channels + run * VALUES;
        value* const d = (value*)gradient + at;
        if (kept && channels % VALUES == 0) {
            const Run was = *(const Run*)d;
            float x[VALUES];
#pragma unroll
            for (int v = 0; v < VALUES; v++) x[v] = number(was, v);
            if (relu) {
                const Run made = *(const Run*)(output + at);
#pragma unroll
                for (int v = 0; v < VALUES; v++) x[v] = number(made, v) > 0.0f ? x[v] : 0.0f;
                keep_all(d, x);
            }
#pragma unroll
            for (int v = 0; v < VALUES; v++) sums[v] += x[v];
            continue;
        }
        for (int v = 0; v < VALUES && run * VALUES + v < channels; v++) {
            float x = kept ? number(d[v]) : ((const float*)gradient)[at + v];
            if (relu && !(number(output[at + v]) > 0.0f)) {
                x = 0.0f;
                keep(d[v], x);
            }
            sums[v] += x;
        }
    }
    for (int v = 0; v < VALUES; v++) room[v][threadIdx.x] = sums[v];
    __syncthreads();
    // The upper half of the places goes to the lower one, again and again.
    for (int left = at_once; left > 1; left = (left + 1) / 2) {
        const int half = (left + 1) / 2;
        if (place + half < left)
            for (int v = 0; v < VALUES; v++) room[v][threadIdx.x] += room[v][threadIdx.x + half * across];
        __syncthreads();
    }
    if (place == 0 && run < runs)
        for (int v = 0; v < VALUES && run * VALUES + v < channels; v++)
            parts[size_t(blockIdx.x) * channels + run * VALUES + v] = room[v][threadIdx.x];
}
