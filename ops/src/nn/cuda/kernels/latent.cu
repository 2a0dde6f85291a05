// sample = mean + exp(log variance / 2) noise, noise standard normal: the vectors that the decoder reads.
//
// The i-th number of step n is made from block i of the Philox4x32-10 stream (seed, noise = 6, n), as on
// the CPU: two uniform numbers of 53 bits, Box-Muller, in double precision. Logarithms of variances are
// clamped within [-60, 40]. Without `log_variance` the sample is the mean.
// Launch: blocks (ceil(length / 256)), 256 threads.

__device__ inline void philox(u32 (&c)[4], u32 low, u32 high) {
    for (int round = 0; round < 10; round++) {
        const u64 p0 = u64(0xD2511F53u) * c[0], p1 = u64(0xCD9E8D57u) * c[2];
        const u32 next[4] = {u32(p1 >> 32) ^ c[1] ^ low, u32(p1), u32(p0 >> 32) ^ c[3] ^ high, u32(p0)};
        for (int i = 0; i < 4; i++) c[i] = next[i];
        low += 0x9E3779B9u;
        high += 0xBB67AE85u;
    }
}

__device__ inline double uniform(u32 high, u32 low) {
    return (double(high >> 5) * 67108864.0 + double(low >> 6)) / 9007199254740992.0;
}

__device__ inline float normal(u32 i, u32 stream, const u32* seed) {
    u32 c[4] = {i, 0, stream, 6};
    philox(c, seed[0], seed[1]);
    const double radius = sqrt(-2.0 * log(1.0 - uniform(c[0], c[1])));
    return float(radius * cos(6.283185307179586 * uniform(c[2], c[3])));
}

extern "C" __global__ void latent(const float* mean, const float* log_variance, const Clock* clock, int length, float* noise, float* sample) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= length) return;
    if (!log_variance) {
        sample[i] = mean[i];
        return;
    }
    noise[i] = normal(i, clock->step, clock->seed);
    sample[i] = mean[i] + expf(0.5f * clamped(log_variance[i])) * noise[i];
}
