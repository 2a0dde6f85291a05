// parts[part, channel] = sum over the rows of the part: that of a gradient is the gradient of a bias.
//
// A row has `channels` numbers: of a pixel of an image, or of a vector. A part is `each` rows. `kept`: numbers of images,
// else single precision. A thread has VALUES neighbouring channels. Launch: blocks (parts, ceil(runs / 256)), 256 threads, a
// run being VALUES channels.

extern "C" __global__ void row_sums(const void* numbers, int kept, int rows, int each, int channels, float* parts) {
    __shared__ float room[VALUES][256];
    const int runs = (channels + VALUES - 1) / VALUES, across = runs < 256 ? runs : 256, at_once = 256 / across;
    const int run = blockIdx.y * 256 + threadIdx.x % across, place = threadIdx.x / across;
    const int first = blockIdx.x * each, end = first + each < rows ? first + each : rows;
    const bool any = place < at_once && run < runs;
    float sums[VALUES];
    for (int v = 0; v < VALUES; v++) sums[v] = 0.0f;
    if (any && kept && channels % VALUES == 0) {
        const value* const from = (const value*)numbers + run * VALUES;
#pragma unroll 4
        for (int row = first + place; row < end; row += at_once) {
            const Run found = *(const Run*)(from + size_t(row) * channels);
#pragma unroll
            for (int v = 0; v < VALUES; v++) sums[v] += number(found, v);
        }
    } else if (any) {
        for (int row = first + place; row < end; row += at_once)
            for (int v = 0; v < VALUES && run * VALUES + v < channels; v++) {
                const size_t at = size_t(row) * channels + run * VALUES + v;
                sums[v] += kept ? number(((const value*)numbers)[at]) : ((const float*)numbers)[at];
            }
    }
    for (int v = 0; v < VALUES; v++) room[v][threadIdx.x] = sums[v];
    sum_over_places(room, place, at_once, across);
    if (place == 0 && run < runs)
        for (int v = 0; v < VALUES && run * VALUES + v < channels; v++)
            parts[size_t(blockIdx.x) * channels + run * VALUES + v] = room[v][threadIdx.x];
}
