// losses[batch] = {loss, reconstruction, KL}: reconstruction = sum of errors / divisor, KL = sum of nats / share,
// loss = reconstruction + beta sum of max(nats, free bits) / share. Without `nats`, only the reconstruction.
//
// Launch: one block of 256 threads; each adds its terms in order, the block adds its threads as a tree.

extern "C" __global__ void losses(const double* errors, int rows, double divisor, const float* nats, int units, float free_bits,
                                  float share, const Clock* clock, double* losses) {
    __shared__ double room[256];
    double sum = 0.0, all = 0.0, counted = 0.0;
    for (int row = threadIdx.x; row < rows; row += blockDim.x) sum += errors[row];
    for (int unit = threadIdx.x; nats && unit < units; unit += blockDim.x) {
        all += nats[unit];
        counted += free_bits > 0.0f && nats[unit] < free_bits ? free_bits : nats[unit];
    }
    sum = sum_over_block(sum, room);
    all = sum_over_block(all, room);
    counted = sum_over_block(counted, room);
    if (threadIdx.x != 0) return;
    double* out = losses + size_t(clock->batch) * 3;
    out[0] = sum / divisor + clock->beta * counted / share;
    out[1] = sum / divisor;
    out[2] = all / share;
}
