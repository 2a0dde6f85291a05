// dW[m, a, b, c] = sum over images and narrow pixels of narrow[image, pixel, m] wide[image, met pixel, c],
// where the narrow or the wide image is a gradient: that of the weight, for both kinds of convolution.
//
// The sum is cut into parts of `each` pixels (a multiple of 32); `sum_parts` adds them in order.
// Launch: blocks (ceil(narrow channels / rows), ceil(taps / columns), parts), 256 threads.

template <class P>
struct WeightPatches {
    enum { ALONG_K = false };
    typedef Chunk<value> Fetched;
    // The tap and the channel of a column.
    struct Line {
        int n, a, b, channel;
    };
    const value* wide;
    __device__ Line line(int n) const {
        const int tap = n / P::WIDE_C;
        return {n, tap / P::KERNEL, tap % P::KERNEL, n % P::WIDE_C};
    }
    __device__ Source find(const Line& line, int k, int end) const {
        const int pixel = Patch<P>(k).met(line.a, line.b);
        const bool is_there = k < end && pixel >= 0 && line.n < P::TAPS;
        return {wide + pixel * P::WIDE_C + line.channel, is_there};
    }
    __device__ void fetch(Fetched& to, const Line& line, int k, int end) const {
        to.clear();
        if (P::WIDE_C % CHUNK == 0) {
            to.load(find(line, k, end));
            return;
        }
        if (k >= end) return;
        const Patch<P> patch(k);
        for (int i = 0; i < CHUNK; i++) {
            const Line one = this->line(line.n + i);
            const int pixel = patch.met(one.a, one.b);
            if (pixel >= 0 && one.n < P::TAPS) to.set(i, wide[pixel * P::WIDE_C + one.channel]);
        }
    }
};

template <class P, class Tile>
__device__ void to_weight(const value* narrow, const value* wide, int images, int each, float* parts) {
    const int pixels = images * P::NARROW_AREA;
    const int first = blockIdx.z * each, end = first + each < pixels ? first + each : pixels;
    const Matrix<value, false> a = {narrow, P::NARROW_C, pixels, P::NARROW_C % CHUNK == 0};
    const WeightPatches<P> b = {wide};
    const Sums out = {parts + size_t(blockIdx.z) * P::NARROW_C * P::TAPS, P::NARROW_C, P::TAPS};
    product<Tile>(first, end, a, b, out);
}
