// The clips of the batch as they are changed for a training: made[band, frame] = data[clip, band, frame - shift] + gain,
// frames going round, is what the decoder is to make; read is the same, but for masked frames and bands, which have the mean
// of made.
//
// The host draws the changes of an epoch, a row a clip. Launch: blocks (clips), 256 threads; each adds its pixels in order,
// the block adds its threads as a tree.

struct Change {
    float gain;
    int shift;
    int frame, frames;  // The masked frames: the first, and how many.
    int band, bands;    // The masked bands.
};

extern "C" __global__ void augment(const value* data, const u32* order, const Change* changes, const Clock* clock, int capacity,
                                   int bands, int frames, value* made, value* read) {
    __shared__ double shared[256];
    const size_t at = size_t(clock->batch) * capacity + blockIdx.x, width = size_t(bands) * frames;
    const Change change = changes[at];
    const value* clip = data + order[at] * width;
    value *whole = made + blockIdx.x * width, *masked = read + blockIdx.x * width;
    double sum = 0.0;
    for (int p = threadIdx.x; p < width; p += blockDim.x) {
        const int frame = p % frames, from = frame < change.shift ? frame - change.shift + frames : frame - change.shift;
        const float x = number(clip[p - frame + from]) + change.gain;
        store(whole[p], x);
        sum += x;
    }
    const float mean = float(sum_over_block(sum, shared) / width);
    for (int p = threadIdx.x; p < width; p += blockDim.x) {
        const int band = p / frames, frame = p % frames;
        const bool hidden = (frame >= change.frame && frame < change.frame + change.frames) ||
                            (band >= change.band && band < change.band + change.bands);
        if (hidden)
            store(masked[p], mean);
        else
            masked[p] = whole[p];
    }
}
