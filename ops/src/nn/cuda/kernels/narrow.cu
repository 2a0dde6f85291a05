// narrow[image, m, pixel] = sum over taps of W[m, tap] met(wide, image, tap, pixel) (+ bias[m], ReLU):
// a convolution forward, and a transposed one back to the gradient of its input.
//
// The matrix of patches is never made: each number is fetched as it is needed.
// Launch: blocks (ceil(images x narrow area / columns of the tile), ceil(narrow channels / rows)), 256 threads.

template <class P>
struct NarrowWeight {
    const float* weight;
    __device__ bool along_k() const { return true; }
    __device__ float at(int m, int from, int step) const { return weight[m * P::TAPS + from + step]; }
};

template <class P>
struct NarrowPatches {
    const value* wide;
    __device__ bool along_k() const { return false; }
    __device__ float at(int from, int step, int n) const {
        return P::met(wide, n / P::NARROW_AREA, from + step, n % P::NARROW_AREA);
    }
};

template <class P>
struct NarrowOut {
    Image image;
    __device__ void put(int m, int n, float x) const {
        const size_t at = (size_t(n / P::NARROW_AREA) * P::NARROW_C + m) * P::NARROW_AREA + n % P::NARROW_AREA;
        image.put(at, m, x);
    }
};

template <class P, class Tile>
__device__ void to_narrow(const float* weight, const value* wide, int images, const float* bias, int relu, value* narrow) {
    const NarrowWeight<P> a = {weight};
    const NarrowPatches<P> b = {wide};
    const NarrowOut<P> out = {{narrow, bias, relu}};
    product<Tile>(P::NARROW_C, images * P::NARROW_AREA, 0, P::TAPS, a, b, out);
}
