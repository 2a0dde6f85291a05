// The products of linear layers between images of `inside` numbers and a few units, for a batch of rows. All matrices lie in
// rows, weights as outputs x inputs.
//
// With `parts` the sum is cut into parts of `each` (a multiple of 32), which go there one after the other; `sum_parts` adds
// them in order. Launch: blocks (ceil(rows of C / rows of the tile), ceil(columns of C / columns), parts), 256 threads.

// C as an image.
struct DenseImage {
    struct Row {
        long long at;
    };
    value* to;
    const float* bias;
    const value* over;
    int relu, rows, columns;
    __device__ Row row(int m) const { return {m < rows ? (long long)m * columns : -1}; }
    template <int COUNT>
    __device__ void column(int n, float (&to)[COUNT]) const {
        biases_of(bias, n, columns, to);
    }
    template <int COUNT>
    __device__ void put(const Row& row, int n, const float (&x)[COUNT], const float (&column)[COUNT]) const {
        if (row.at < 0) return;
        float y[COUNT];
        value* const place = to + row.at + n;
#pragma unroll
        for (int i = 0; i < COUNT; i++) {
            y[i] = x[i] + column[i];
            y[i] = relu && y[i] < 0.0f ? 0.0f : y[i];
        }
        if (columns % COUNT == 0) {
            if (n < columns) store_masked(over, to, row.at + n, y);
            return;
        }
        for (int i = 0; i < COUNT; i++)
            if (n + i < columns) store(place[i], over && !(number(over[row.at + n + i]) > 0.0f) ? 0.0f : y[i]);
    }
};

__device__ inline bool chunks(int length) { return length % CHUNK == 0; }

// Part `blockIdx.z` of the sum over `inner`.
template <class Tile, class A, class B>
__device__ void dense_parts(const A& a, const B& b, int rows, int columns, int inner, int each, float* parts) {
    const int first = blockIdx.z * each, end = first + each < inner ? first + each : inner;
    const Sums out = {parts + size_t(blockIdx.z) * rows * columns, rows, columns};
    product<Tile>(first, end, a, b, out);
}

// y[row, unit] = sum over i of image[row, i] W[unit, i].
extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS)
    head(const value* image, const value* weight, int rows, int units, int inside, int each, float* parts) {
    const Matrix<value, true> a = {image, rows, inside, chunks(inside)};
    const Matrix<value, true> b = {weight, units, inside, chunks(inside)};
    dense_parts<TileOf<128, 32>::Tile>(a, b, rows, units, inside, each, parts);
}

// dW[unit, i] = sum over rows of d[row, unit] image[row, i].
extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS)
    head_weight(const float* d, const value* image, int rows, int units, int inside, float* weight) {
    const Matrix<float, false> a = {d, units, rows, chunks(units)};
    const Matrix<value, false> b = {image, inside, rows, chunks(inside)};
    dense_parts<TileOf<32, 128>::Tile>(a, b, units, inside, rows, rows, weight);
}

// A matrix of two, the second of which comes after the first along k; `after` is a multiple of what a product has at once.
template <class One>
struct Pair {
    enum { ALONG_K = One::ALONG_K };
    typedef typename One::Fetched Fetched;
    typedef typename One::Line Line;
    One first, second;
    int after;
    __device__ Line line(int index) const { return first.line(index); }
    __device__ void fetch(Fetched& to, const Line& line, int k, int) const {
        if (k < after)
            first.fetch(to, line, k, first.inner);
        else
            second.fetch(to, line, k - after, second.inner);
    }
};

// image[row, i] = sum over units of d[row, unit] W[unit, i] + e[row, unit] V[unit, i], the latter if there is an `e`; then 0
// where the output `over` of a ReLU is 0, if there is one.
extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS)
    head_back(const float* d, const value* weight, const float* e, const value* other, int rows, int units, int inside, const value* over,
              value* image) {
    const int after = (units + DEPTH - 1) / DEPTH * DEPTH, second = e ? units : 0;
    const Pair<Matrix<float, true>> a = {
        {d, rows, units, chunks(units)}, {e, rows, second, chunks(units)}, after};
    const Pair<Matrix<value, false>> b = {
        {weight, inside, units, chunks(inside)}, {other, inside, second, chunks(inside)}, after};
    const DenseImage out = {image, nullptr, over, 0, rows, inside};
    product<TileOf<128, 128>::Tile>(0, after + second, a, b, out);
}

// image[row, i] = sum over units of z[row, unit] W[i, unit] + bias[i] (ReLU).
extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS)
    expand(const float* z, const value* weight, int rows, int units, int inside, const float* bias, int relu, value* image) {
    const Matrix<float, true> a = {z, rows, units, chunks(units)};
    const Matrix<value, true> b = {weight, inside, units, chunks(units)};
    const DenseImage out = {image, bias, nullptr, relu, rows, inside};
    product<TileOf<128, 128>::Tile>(0, units, a, b, out);
}

// dW[i, unit] = sum over rows of d[row, i] z[row, unit].
extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS)
    expand_weight(const value* d, const float* z, int rows, int units, int inside, float* weight) {
    const Matrix<value, false> a = {d, inside, rows, chunks(inside)};
    const Matrix<float, false> b = {z, units, rows, chunks(units)};
    dense_parts<TileOf<128, 32>::Tile>(a, b, inside, units, rows, rows, weight);
}

// dz[row, unit] = sum over i of d[row, i] W[i, unit].
extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS)
    expand_back(const value* d, const value* weight, int rows, int units, int inside, int each, float* parts) {
    const Matrix<value, true> a = {d, rows, inside, chunks(inside)};
    const Matrix<value, false> b = {weight, units, inside, chunks(units)};
    dense_parts<TileOf<128, 32>::Tile>(a, b, rows, units, inside, each, parts);
}
