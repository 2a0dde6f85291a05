// out[i] = sum over parts of parts[part, i] (+ bias[i mod width]), in the order of the parts.
//
// Launch: blocks (ceil(length / 256)), 256 threads.

extern "C" __global__ void sum_parts(const float* parts, int count, int length, const float* bias, int width, float* out) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= length) return;
    float sum = 0.0f;
    for (int part = 0; part < count; part++) sum += parts[size_t(part) * length + i];
    out[i] = bias ? sum + bias[i % width] : sum;
}
