// Where the sums of products go.

// Sums of single precision, in rows one after the other.
struct Sums {
    struct Row {
        long long at;
    };
    float* to;
    int rows, columns;
    __device__ Row row(int m) const { return {m < rows ? (long long)m * columns : -1}; }
    template <int COUNT>
    __device__ void column(int, float (&)[COUNT]) const {}
    template <int COUNT>
    __device__ void put(const Row& row, int n, const float (&x)[COUNT], const float (&)[COUNT]) const {
        if (row.at < 0) return;
        for (int i = 0; i < COUNT; i++)
            if (n + i < columns) to[row.at + n + i] = x[i];
    }
};

// The biases of neighbouring columns of C, of which there may be none.
template <int COUNT>
__device__ inline void biases_of(const float* bias, int n, int columns, float (&to)[COUNT]) {
#pragma unroll
    for (int i = 0; i < COUNT; i++) to[i] = bias && n + i < columns ? bias[n + i] : 0.0f;
}

// Keeps neighbours of an image, 0 where the output `over` of a ReLU is 0, if there is one.
template <int COUNT>
__device__ inline void store_masked(const value* over, value* to, long long at, float (&x)[COUNT]) {
    if (over != nullptr) {
        float made[COUNT];
        load_all(over + at, made);
#pragma unroll
        for (int i = 0; i < COUNT; i++) x[i] = made[i] > 0.0f ? x[i] : 0.0f;
    }
    store_all(to + at, x);
}
