// narrow[image, m, pixel] = sum over taps of W[m, tap] met(wide, image, tap, pixel) (+ bias[m], ReLU):
// a convolution forward, and a transposed one back to the gradient of its input.
//
// The matrix of patches is never made: each number is fetched as it is needed.
// Launch: blocks (ceil(images x narrow area / columns of the tile), ceil(narrow channels / rows)), 256 threads.

// The tap (a, b) and the wide channel that a term of the sum is about: taps come one after the other,
// each with all channels, so that where channels fill whole steps of the product, the tap is that of the
// whole block.
template <class P>
struct Met {
    enum { WHOLE = P::WIDE_C % DEPTH == 0 };
    int a, b;
    u32 channel;
    __device__ Met(u32 from, u32 step) {
        const u32 tap = (WHOLE ? from : from + step) / P::WIDE_C;
        a = tap / P::KERNEL;
        b = tap % P::KERNEL;
        channel = WHOLE ? from % P::WIDE_C + step : (from + step) % P::WIDE_C;
    }
};

template <class P, class Tile>
struct NarrowWeight {
    const float* weight;
    __device__ bool along_k() const { return true; }
    __device__ bool whole_rows() const { return P::NARROW_C % Tile::ROWS == 0; }
    __device__ bool whole_k() const { return Met<P>::WHOLE; }
    __device__ float at(u32 m, u32 from, u32 step) const {
        const Met<P> met(from, step);
        return weight[m * P::TAPS + met.channel * P::SQUARE + met.a * P::KERNEL + met.b];
    }
};

template <class P>
struct NarrowPatches {
    const value* wide;
    __device__ bool along_k() const { return false; }
    __device__ bool whole_k() const { return Met<P>::WHOLE; }
    __device__ float at(u32 from, u32 step, u32 n) const {
        const Met<P> met(from, step);
        return P::met(wide, n / P::NARROW_AREA, met.channel, met.a, met.b, n % P::NARROW_AREA);
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
