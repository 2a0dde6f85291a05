// out[i] = sum over parts of parts[part, i] (+ bias[i mod width]), in a fixed order: eight runs of parts
// one after the other, then the eight sums.
//
// Launch: blocks (ceil(length / 32)), 256 threads: 32 numbers by eight runs.

extern "C" __global__ void sum_parts(const float* parts, int count, int length, const float* bias, int width, float* out) {
    __shared__ float shared[8][32];
    const int column = threadIdx.x % 32, run = threadIdx.x / 32, i = blockIdx.x * 32 + column;
    const int each = (count + 7) / 8, end = run * each + each < count ? run * each + each : count;
    float sum = 0.0f;
    if (i < length) {
        // Several loads are under way at once; the order of the sum stays.
#pragma unroll 8
        for (int part = run * each; part < end; part++) sum += parts[size_t(part) * length + i];
    }
    shared[run][column] = sum;
    __syncthreads();
    if (run != 0 || i >= length) return;
    for (int other = 1; other < 8; other++) sum += shared[other][column];
    out[i] = bias ? sum + bias[i % width] : sum;
}
