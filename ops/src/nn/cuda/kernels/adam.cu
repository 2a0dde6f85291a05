// Adam with decoupled weight decay, for all parameters at once, after clipping the gradient to a norm:
// m = b1 m + (1 - b1) g, v = b2 v + (1 - b2) g^2, p -= rate m' / (sqrt(v') + 1e-8) + rate decay p, with
// b1 = 0.9, b2 = 0.999, m' = m / (1 - b1^t), v' = v / (1 - b2^t), t the number of the step from 1 on.
//
// g is scaled by min(1, most / (norm + 1e-6)) if `parts`, the 256 sums of `squares`, are given. Products of bf16 read the new
// parameters from `kept`. Launch: any number of blocks of 256 threads; the length is a multiple of four.

extern "C" __global__ void adam(const float* gradient, const double* parts, float most, float rate, float decay, int length,
                                const Clock* clock, float* parameters, float* first, float* second, bf16* kept) {
    __shared__ double shared[256];
    __shared__ float rest[2];
    const float b1 = 0.9f, b2 = 0.999f;
    if (threadIdx.x < 2) {
        const double b = threadIdx.x == 0 ? b1 : b2;
        rest[threadIdx.x] = 1.0f - float(pow(b, double(clock->step) + 1.0));
    }
    __syncthreads();
    float scale = 1.0f;
    if (parts) {
        const double wanted = most / (sqrt(sum_over_block(parts[threadIdx.x], shared)) + 1e-6);
        if (wanted < 1.0) scale = float(wanted);
    }
    const int stride = gridDim.x * blockDim.x;
    for (int vector = blockIdx.x * blockDim.x + threadIdx.x; vector < length / 4; vector += stride) {
        const Vector gradients = ((const Vector*)gradient)[vector];
        Vector ms = ((Vector*)first)[vector], vs = ((Vector*)second)[vector], ps = ((Vector*)parameters)[vector];
#pragma unroll
        for (int i = 0; i < 4; i++) {
            const float g = __uint_as_float(gradients.word[i]) * scale, p = __uint_as_float(ps.word[i]);
            const float m = __uint_as_float(ms.word[i]) * b1 + g * (1.0f - b1);
            const float v = __uint_as_float(vs.word[i]) * b2 + g * g * (1.0f - b2);
            const float m_hat = m / rest[0], v_hat = v / rest[1];
            ms.word[i] = __float_as_uint(m);
            vs.word[i] = __float_as_uint(v);
            ps.word[i] = __float_as_uint(p - (rate * m_hat / (sqrtf(v_hat) + 1e-8f) + decay * rate * p));
        }
        ((Vector*)first)[vector] = ms;
        ((Vector*)second)[vector] = vs;
        ((Vector*)parameters)[vector] = ps;
#if PRODUCTS == 2
        for (int i = 0; i < 4; i++) store(kept[4 * vector + i], __uint_as_float(ps.word[i]));
#endif
    }
}
