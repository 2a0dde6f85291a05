// dW[m, tap] = sum over images and narrow pixels of narrow[image, m, pixel] met(wide, image, tap, pixel),
// where the narrow or the wide image is a gradient: that of the weight, for both kinds of convolution.
//
// The sum is cut into parts of `each` pixels (a multiple of 16); `sum_parts` adds them in order.
// Launch: blocks (ceil(taps / columns), ceil(narrow channels / rows), parts), 256 threads.

template <class P, class Tile>
struct WeightNarrow {
    const value* narrow;
    __device__ bool along_k() const { return true; }
    __device__ bool whole_rows() const { return P::NARROW_C % Tile::ROWS == 0; }
    __device__ bool whole_k() const { return Term<P::NARROW_AREA>::WHOLE; }
    __device__ value at(u32 m, u32 from, int step) const {
        const Term<P::NARROW_AREA> term(from, step);
        return (narrow + (term.row * P::NARROW_C + m) * P::NARROW_AREA)[(long long)term.at];
    }
};

template <class P>
struct WeightPatches {
    const value* wide;
    __device__ bool along_k() const { return true; }
    __device__ bool whole_k() const { return Term<P::NARROW_AREA>::WHOLE; }
    __device__ value at(u32 from, int step, u32 n) const {
        const Term<P::NARROW_AREA> term(from, step);
        return P::met(wide, term.row, n / P::SQUARE, n % P::SQUARE, term.at);
    }
};

template <class P>
struct WeightOut {
    float* part;
    __device__ Spot row(u32 m) const { return {m * P::TAPS, 0.0f}; }
    __device__ Spot column(u32 n) const { return {n, 0.0f}; }
    __device__ void put(u32 at, float x, float) const { part[at] = x; }
};

template <class P, class Tile>
__device__ void to_weight(const value* narrow, const value* wide, int images, int each, float* parts) {
    const int pixels = images * P::NARROW_AREA;
    const int first = blockIdx.z * each, end = first + each < pixels ? first + each : pixels;
    const WeightNarrow<P, Tile> a = {narrow};
    const WeightPatches<P> b = {wide};
    const WeightOut<P> out = {parts + size_t(blockIdx.z) * P::NARROW_C * P::TAPS};
    product<Tile>(P::NARROW_C, P::TAPS, first, end, a, b, out);
}
