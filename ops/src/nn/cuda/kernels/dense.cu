// C[m, n] = sum over k of A[m, k] B[k, n], all strided: forward and both gradients of a linear layer.
//
// With parts > 1 the sum over k is cut into parts of `each` (a multiple of 16), which go to `parts`
// one after the other, each as C lies; `sum_parts` adds them in order. Otherwise C is kept at once.
// Launch: blocks (ceil(columns / columns of the tile), ceil(rows / rows of the tile), parts), 256 threads.

// A matrix: `kept` says that its numbers are images between layers, else they are of single precision.
struct Matrix {
    const void* at;
    int kept, down, along;
    __device__ float get(int row, int column) const {
        const size_t place = size_t(row) * down + size_t(column) * along;
        return kept ? number(((const value*)at)[place]) : ((const float*)at)[place];
    }
};

struct DenseLeft {
    Matrix matrix;
    __device__ bool along_k() const { return matrix.along == 1; }
    __device__ bool whole_rows() const { return false; }
    __device__ bool whole_k() const { return false; }
    __device__ float at(int m, int from, int step) const { return matrix.get(m, from + step); }
};

struct DenseRight {
    Matrix matrix;
    __device__ bool along_k() const { return matrix.down == 1; }
    __device__ bool whole_k() const { return false; }
    __device__ float at(int from, int step, int n) const { return matrix.get(from + step, n); }
};

// To `parts` of single precision if there is such, else to an image; `bias` goes with `bias_along` n or m.
struct DenseOut {
    float* part;
    value* image;
    const float* bias;
    int relu, add, bias_along, down, along;
    __device__ Spot spot(u32 index, u32 stride, bool biased) const {
        return {index * stride, bias && biased ? bias[index] : 0.0f};
    }
    __device__ Spot row(u32 m) const { return spot(m, down, !bias_along); }
    __device__ Spot column(u32 n) const { return spot(n, along, bias_along); }
    __device__ void put(u32 at, float x, float bias) const {
        if (part) {
            part[at] = x;
            return;
        }
        x += bias;
        if (add) x += number(image[at]);
        keep(image[at], relu && x < 0.0f ? 0.0f : x);
    }
};

template <class Tile>
__device__ void dense(const void* a, int a_kept, int a_down, int a_along, const void* b, int b_kept, int b_down, int b_along,
                      int rows, int columns, int inner, int each, float* parts, value* image, const float* bias,
                      int relu, int add, int down, int along) {
    const int first = blockIdx.z * each, end = first + each < inner ? first + each : inner;
    const DenseLeft left = {{a, a_kept, a_down, a_along}};
    const DenseRight right = {{b, b_kept, b_down, b_along}};
    float* part = parts ? parts + size_t(blockIdx.z) * rows * columns : nullptr;
    const DenseOut out = {part, image, bias, relu, add, along == 1, down, along};
    product<Tile>(rows, columns, first, end, left, right, out);
}

#define DENSE(NAME, HEIGHT)                                                                                      \
    extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS) NAME(                                                  \
        const void* a, int a_kept, int a_down, int a_along, const void* b, int b_kept, int b_down, int b_along,  \
        int rows, int columns, int inner, int each, float* parts, value* image, const float* bias, int relu,     \
        int add, int down, int along) {                                                                          \
        dense<TileOf<HEIGHT>::Tile>(a, a_kept, a_down, a_along, b, b_kept, b_down, b_along, rows, columns, inner, \
                                    each, parts, image, bias, relu, add, down, along);                           \
    }

DENSE(dense_8, 8)
DENSE(dense_32, 32)
DENSE(dense_128, 128)
