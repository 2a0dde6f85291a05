// clips[i, p] = data[order[first + i], p]: the batch, taken from the data by number.
//
// first = batch of the epoch x capacity. Launch: blocks (ceil(width / 256), clips), 256 threads.

extern "C" __global__ void gather(const value* data, const u32* order, const Clock* clock, int capacity, int width, value* clips) {
    const int p = blockIdx.x * blockDim.x + threadIdx.x, i = blockIdx.y;
    const size_t clip = order[size_t(clock->batch) * capacity + i];
    if (p < width) clips[size_t(i) * width + p] = data[clip * width + p];
}
