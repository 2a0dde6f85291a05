// parts[part, channel] = sum over the rows of the part: that of a gradient is the gradient of a bias.
//
// A row has `channels` numbers: of a pixel of an image, or of a vector. A part is `each` rows. `kept`: numbers of images,
// else single precision. A thread has VALUES neighbouring channels. Launch: blocks (parts, ceil(vectors / 256)), 256 threads, a
// vector being VALUES channels.

extern "C" __global__ void row_sums(const void* numbers, int kept, int rows, int each, int channels, float* parts) {
    __shared__ float shared[VALUES][256];
    const int vectors = (channels + VALUES - 1) / VALUES, across = vectors < 256 ? vectors : 256, at_once = 256 / across;
    const int vector = blockIdx.y * 256 + threadIdx.x % across, place = threadIdx.x / across;
    const int first = blockIdx.x * each, end = first + each < rows ? first + each : rows;
    const bool any = place < at_once && vector < vectors;
    float sums[VALUES];
    for (int v = 0; v < VALUES; v++) sums[v] = 0.0f;
    if (any && kept && channels % VALUES == 0) {
        const value* const from = (const value*)numbers + vector * VALUES;
#pragma unroll 4
        for (int row = first + place; row < end; row += at_once) {
            const Vector found = *(const Vector*)(from + size_t(row) * channels);
#pragma unroll
            for (int v = 0; v < VALUES; v++) sums[v] += number(found, v);
        }
    } else if (any) {
        for (int row = first + place; row < end; row += at_once)
            for (int v = 0; v < VALUES && vector * VALUES + v < channels; v++) {
                const size_t at = size_t(row) * channels + vector * VALUES + v;
                sums[v] += kept ? number(((const value*)numbers)[at]) : ((const float*)numbers)[at];
            }
    }
    for (int v = 0; v < VALUES; v++) shared[v][threadIdx.x] = sums[v];
    sum_over_places(shared, place, at_once, across);
    if (place == 0 && vector < vectors)
        for (int v = 0; v < VALUES && vector * VALUES + v < channels; v++)
            parts[size_t(blockIdx.x) * channels + vector * VALUES + v] = shared[v][threadIdx.x];
}
