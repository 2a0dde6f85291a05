// losses[batch] = {loss, reconstruction, KL} with reconstruction = sum of errors / divisor, or likelihood[0] if that is given,
// KL = sum of nats / share, counted = sum of max(nats, free bits) / share, TC = the total correlation of a batch of a data set
// of `clips` clips, and loss = reconstruction + beta counted (objective 0), counted + (beta - 1) TC / share (1), or
// beta |counted - capacity| (2). Without `nats`, only the reconstruction.
//
// slopes = the derivatives of the loss by the sum of the counted nats and by TC. Launch: one block of 256 threads; each adds
// its terms in order, the block adds its threads as a tree.

extern "C" __global__ void losses(const double* errors, int count, int rows, double divisor, const double* likelihood, const float* nats, int units,
                                  float free_bits, float share, int objective, const double* sums, double clips, const Clock* clock,
                                  float* slopes, double* losses) {
    __shared__ double shared[256];
    double sum = 0.0, all = 0.0, counted = 0.0, correlation = 0.0;
    for (int i = threadIdx.x; i < count; i += blockDim.x) sum += errors[i];
    for (int row = threadIdx.x; sums && row < rows; row += blockDim.x) {
        const double* own = sums + size_t(row) * (units + 1);
        correlation += own[0];
        for (int unit = 1; unit <= units; unit++) correlation -= own[unit];
    }
    for (int unit = threadIdx.x; nats && unit < units; unit += blockDim.x) {
        all += nats[unit];
        counted += free_bits > 0.0f && nats[unit] < free_bits ? free_bits : nats[unit];
    }
    sum = sum_over_block(sum, shared);
    all = sum_over_block(all, shared);
    counted = sum_over_block(counted, shared) / share;
    correlation = sum_over_block(correlation, shared) / rows + (units - 1) * log(clips * rows);
    if (threadIdx.x != 0) return;
    const float beta = clock->beta;
    double penalty = beta * counted;
    slopes[0] = beta / share;
    slopes[1] = 0.0f;
    if (objective == 1) {
        penalty = counted + (beta - 1.0) * correlation / share;
        slopes[0] = 1.0f / share;
        slopes[1] = (beta - 1.0f) / share;
    } else if (objective == 2) {
        const double apart = counted - clock->capacity;
        penalty = beta * fabs(apart);
        if (apart < 0.0) slopes[0] = -slopes[0];
    }
    const double reconstruction = likelihood ? likelihood[0] : sum / divisor;
    double* out = losses + size_t(clock->batch) * 3;
    out[0] = reconstruction + penalty;
    out[1] = reconstruction;
    out[2] = all / share;
}
