// losses[batch] = {loss, reconstruction, KL}: reconstruction = sum of errors / divisor, KL = sum of nats / share,
// loss = reconstruction + beta sum of max(nats, free bits) / share. Without `nats`, only the reconstruction.
//
// Launch: one block of 32 threads; one of them adds, in order.

extern "C" __global__ void losses(const double* errors, int rows, double divisor, const float* nats, int units, float free_bits,
                                  float share, const Clock* clock, double* losses) {
    if (threadIdx.x != 0) return;
    double sum = 0.0, all = 0.0, counted = 0.0;
    for (int row = 0; row < rows; row++) sum += errors[row];
    for (int unit = 0; nats && unit < units; unit++) {
        all += nats[unit];
        counted += free_bits > 0.0f && nats[unit] < free_bits ? free_bits : nats[unit];
    }
    double* out = losses + size_t(clock->batch) * 3;
    out[0] = sum / divisor + clock->beta * counted / share;
    out[1] = sum / divisor;
    out[2] = all / share;
}
