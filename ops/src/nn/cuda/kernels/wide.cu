// wide[image, m, y, x] = sum of W[c, m, a, b] narrow[image, c, i, j] over all (c, a, b, i, j) that meet
// (y, x) (+ bias[m], ReLU): a transposed convolution forward, and a convolution back to the gradient
// of its input.
//
// Wide pixels of one phase ((y + PADDING) mod STRIDE, (x + PADDING) mod STRIDE) meet the same taps,
// so each phase is a product of its own, without zeros between.
// Launch: blocks (ceil(images x pixels of the largest phase / columns), ceil(wide channels / rows), STRIDE^2), 256 threads.

// One axis of a phase: which wide coordinates belong to it and which taps they meet.
struct Phase {
    int first, count, shift, tap, taps;
};

template <int LENGTH, int KERNEL, int STRIDE, int PADDING>
__device__ Phase phase_of(int residue) {
    // The least coordinate >= 0 with (coordinate + PADDING) mod STRIDE = residue.
    const int first = ((residue - PADDING) % STRIDE + STRIDE) % STRIDE;
    const Phase phase = {
        first, first < LENGTH ? (LENGTH - first + STRIDE - 1) / STRIDE : 0, (first + PADDING) / STRIDE, residue,
        residue < KERNEL ? (KERNEL - residue + STRIDE - 1) / STRIDE : 0};
    return phase;
}

template <class P>
struct WideWeight {
    const float* weight;
    Phase down, along;
    __device__ bool along_k() const { return false; }
    __device__ float at(int m, int k) const {
        const int tap = k / P::NARROW_C, c = k % P::NARROW_C;
        const int a = down.tap + tap / along.taps * P::STRIDE, b = along.tap + tap % along.taps * P::STRIDE;
        return weight[c * P::TAPS + m * P::SQUARE + a * P::KERNEL + b];
    }
};

template <class P>
struct WidePatches {
    const value* narrow;
    Phase down, along;
    __device__ bool along_k() const { return false; }
    __device__ float at(int k, int n) const {
        const int tap = k / P::NARROW_C, c = k % P::NARROW_C, pixels = down.count * along.count;
        const int image = n / pixels, pixel = n % pixels;
        const int i = pixel / along.count + down.shift - tap / along.taps;
        const int j = pixel % along.count + along.shift - tap % along.taps;
        if (i < 0 || i >= P::NARROW_H || j < 0 || j >= P::NARROW_W) return 0.0f;
        return number(narrow[(size_t(image) * P::NARROW_C + c) * P::NARROW_AREA + i * P::NARROW_W + j]);
    }
};

template <class P>
struct WideOut {
    Image image;
    Phase down, along;
    __device__ void put(int m, int n, float x) const {
        const int pixels = down.count * along.count, pixel = n % pixels;
        const int row = down.first + pixel / along.count * P::STRIDE, column = along.first + pixel % along.count * P::STRIDE;
        image.put((size_t(n / pixels) * P::WIDE_C + m) * P::WIDE_AREA + row * P::WIDE_W + column, m, x);
    }
};

template <class P, class Tile>
__device__ void to_wide(const float* weight, const value* narrow, int images, const float* bias, int relu, value* wide) {
    const Phase down = phase_of<P::WIDE_H, P::KERNEL, P::STRIDE, P::PADDING>(blockIdx.z / P::STRIDE);
    const Phase along = phase_of<P::WIDE_W, P::KERNEL, P::STRIDE, P::PADDING>(blockIdx.z % P::STRIDE);
    const WideWeight<P> a = {weight, down, along};
    const WidePatches<P> b = {narrow, down, along};
    const WideOut<P> out = {{wide, bias, relu}, down, along};
    const int columns = images * down.count * along.count;
    if (int(blockIdx.x) * Tile::COLUMNS >= columns) return;
    product<Tile>(P::WIDE_C, columns, 0, down.taps * along.taps * P::NARROW_C, a, b, out);
}
