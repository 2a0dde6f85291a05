// narrow[image, pixel, n] = sum over taps (a, b) and channels c of W[n, a, b, c] wide[image, met pixel, c] (+ bias[n],
// ReLU): a convolution forward, and a transposed one back to the gradient of its input.
//
// The matrix of patches is never made: each chunk is fetched as it is needed.
// Launch: blocks (ceil(images x narrow area / rows of the tile), ceil(narrow channels / columns)), 256 threads.

template <class P>
struct NarrowPatches {
    enum { ALONG_K = true };
    typedef Chunk<value> Fetched;
    typedef Patch<P> Line;
    const value* wide;
    int pixels;
    __device__ Line line(int m) const {
        Line line(m < pixels ? m : 0);
        if (m >= pixels) line.y = -(1 << 30);
        return line;
    }
    // The number of the wide channel and pixel that the k-th tap meets; below zero if there is none.
    __device__ static int at(const Line& line, int k) {
        const int tap = k / P::WIDE_C, pixel = line.met(tap / P::KERNEL, tap % P::KERNEL);
        return pixel < 0 || k >= P::TAPS ? -1 : pixel * P::WIDE_C + k % P::WIDE_C;
    }
    __device__ Source find(const Line& line, int k, int) const {
        const int found = at(line, k);
        return {wide + found, found >= 0};
    }
    __device__ void fetch(Fetched& to, const Line& line, int k, int end) const {
        to.clear();
        if (P::WIDE_C % CHUNK == 0) {
            to.load(find(line, k, end));
            return;
        }
        for (int i = 0; i < CHUNK; i++) {
            const int found = at(line, k + i);
            if (found >= 0) to.set(i, wide[found]);
        }
    }
};

template <class P, class To>
struct NarrowOut : To {
    int pixels;
    __device__ Pixel row(int m) const { return {m < pixels ? (long long)m * P::NARROW_C : -1}; }
};

template <class P, class Tile, class To>
__device__ void to_narrow(const value* weight, const value* wide, int images, const To& to) {
    const int pixels = images * P::NARROW_AREA;
    const NarrowPatches<P> a = {wide, pixels};
    const Matrix<value, true> b = {weight, P::NARROW_C, P::TAPS, P::TAPS % CHUNK == 0};
    const NarrowOut<P, To> out = {to, pixels};
    product<Tile>(0, P::TAPS, a, b, out);
}
