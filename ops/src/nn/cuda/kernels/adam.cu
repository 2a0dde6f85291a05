// Adam with decoupled weight decay, for all parameters at once, after clipping the gradient to a norm:
// m = b1 m + (1 - b1) g, v = b2 v + (1 - b2) g^2, p -= rate m' / (sqrt(v') + 1e-8) + rate decay p, with
// b1 = 0.9, b2 = 0.999, m' = m / (1 - b1^t), v' = v / (1 - b2^t), t the number of the step from 1 on.
//
// g is scaled by min(1, most / (norm + 1e-6)) if `parts`, the 256 sums of `squares`, are given.
// Launch: blocks (ceil(length / 256)), 256 threads.

extern "C" __global__ void adam(const float* gradient, const double* parts, float most, float rate, float decay, int length,
                                const Clock* clock, float* parameters, float* first, float* second) {
    __shared__ double room[256];
    __shared__ float rest[2];
    const float b1 = 0.9f, b2 = 0.999f;
    if (threadIdx.x < 2) {
        const double b = threadIdx.x == 0 ? b1 : b2;
        rest[threadIdx.x] = 1.0f - float(pow(b, double(clock->step) + 1.0));
    }
    __syncthreads();
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    float scale = 1.0f;
    if (parts) {
        const double wanted = most / (sqrt(sum_over_block(parts[threadIdx.x], room)) + 1e-6);
        if (wanted < 1.0) scale = float(wanted);
    }
    if (i >= length) return;
    const float g = gradient[i] * scale;
    const float m = first[i] * b1 + g * (1.0f - b1), v = second[i] * b2 + g * g * (1.0f - b2);
    const float m_hat = m / rest[0], v_hat = v / rest[1];
    first[i] = m;
    second[i] = v;
    parameters[i] -= rate * m_hat / (sqrtf(v_hat) + 1e-8f) + decay * rate * parameters[i];
}
