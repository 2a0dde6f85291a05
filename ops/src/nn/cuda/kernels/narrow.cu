// narrow[image, m, pixel] = sum over taps of W[m, tap] met(wide, image, tap, pixel) (+ bias[m], ReLU):
// a convolution forward, and a transposed one back to the gradient of its input.
//
// The matrix of patches is never made: each number is fetched as it is needed.
// Launch: blocks (ceil(images x narrow area / columns of the tile), ceil(narrow channels / rows)), 256 threads.

template <class P, class Tile>
struct NarrowWeight {
    const float* weight;
    __device__ bool along_k() const { return true; }
    __device__ bool whole_rows() const { return P::NARROW_C % Tile::ROWS == 0; }
    __device__ bool whole_k() const { return Term<P::WIDE_C>::WHOLE; }
    __device__ float at(u32 m, u32 from, int step) const {
        const Term<P::WIDE_C> term(from, step);
        return (weight + m * P::TAPS + term.row)[(long long)term.at * P::SQUARE];
    }
};

template <class P>
struct NarrowPatches {
    const value* wide;
    __device__ bool along_k() const { return false; }
    __device__ bool whole_k() const { return Term<P::WIDE_C>::WHOLE; }
    __device__ value at(u32 from, int step, u32 n) const {
        const Term<P::WIDE_C> term(from, step);
        return P::met(wide, n / P::NARROW_AREA, term.at, term.row, n % P::NARROW_AREA);
    }
};

template <class P>
struct NarrowOut : Image {
    __device__ Spot row(u32 m) const { return {m * P::NARROW_AREA, of(m)}; }
    __device__ Spot column(u32 n) const {
        return {n / P::NARROW_AREA * (P::NARROW_C * P::NARROW_AREA) + n % P::NARROW_AREA, 0.0f};
    }
};

template <class P, class Tile>
__device__ void to_narrow(const float* weight, const value* wide, int images, const float* bias, int relu, value* narrow) {
    const NarrowWeight<P, Tile> a = {weight};
    const NarrowPatches<P> b = {wide};
    const NarrowOut<P> out = {{narrow, bias, relu}};
    product<Tile>(P::NARROW_C, images * P::NARROW_AREA, 0, P::TAPS, a, b, out);
}
