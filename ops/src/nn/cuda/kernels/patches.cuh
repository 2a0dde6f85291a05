// The geometry that a convolution and its transpose share: narrow pixel (i, j) and tap (a, b) of
// the kernel meet wide pixel (i STRIDE + a - PADDING, j STRIDE + b - PADDING), if there is one.
//
// The channels of a pixel are neighbours in memory, pixels lie in rows, and rows in images. Weights are narrow channels x
// KERNEL x KERNEL x wide channels for both layers. A batch of images has less than 2^31 numbers.

template <int WIDE_C_, int WIDE_H_, int WIDE_W_, int NARROW_C_, int NARROW_H_, int NARROW_W_,
          int KERNEL_, int STRIDE_, int PADDING_>
struct Patches {
    enum {
        WIDE_C = WIDE_C_, WIDE_H = WIDE_H_, WIDE_W = WIDE_W_, WIDE_AREA = WIDE_H_ * WIDE_W_,
        NARROW_C = NARROW_C_, NARROW_H = NARROW_H_, NARROW_W = NARROW_W_, NARROW_AREA = NARROW_H_ * NARROW_W_,
        KERNEL = KERNEL_, STRIDE = STRIDE_, PADDING = PADDING_, SQUARE = KERNEL_ * KERNEL_, TAPS = WIDE_C_ * SQUARE
    };
};

// A narrow pixel of a batch: the first pixel of its image and the wide pixel that its first tap meets.
template <class P>
struct Patch {
    int image, y, x;
    __device__ Patch() {}
    __device__ explicit Patch(u32 pixel) {
        const u32 i = pixel % P::NARROW_AREA / P::NARROW_W, j = pixel % P::NARROW_W;
        image = pixel / P::NARROW_AREA * P::WIDE_AREA;
        y = int(i * P::STRIDE) - P::PADDING;
        x = int(j * P::STRIDE) - P::PADDING;
    }
    // The wide pixel of a tap; below zero if there is none.
    __device__ int met(int a, int b) const {
        const u32 down = y + a, along = x + b;
        return down < u32(P::WIDE_H) && along < u32(P::WIDE_W) ? image + int(down * P::WIDE_W + along) : -1;
    }
};

// A row of products that go to an image: the place of its pixel, below zero if there is none.
struct Pixel {
    long long at;
};

// Where the output of a layer with C channels goes: plus the bias of its channel and without what is negative, if asked.
template <int CHANNELS>
struct Output {
    enum { C = CHANNELS };
    typedef Pixel Row;
    value* to;
    const float* bias;
    int relu;
    template <int COUNT>
    __device__ void column(int n, float (&to)[COUNT]) const {
        biases_of(bias, n, C, to);
    }
    template <int COUNT>
    __device__ void put(const Row& row, int n, const float (&x)[COUNT], const float (&column)[COUNT]) const {
        if (row.at < 0 || n >= C) return;
        float y[COUNT];
#pragma unroll
        for (int i = 0; i < COUNT; i++) {
            y[i] = x[i] + column[i];
            y[i] = relu && y[i] < 0.0f ? 0.0f : y[i];
        }
        if constexpr (COUNT > 1 && C % COUNT == 0) {
            store_all(to + row.at + n, y);
        } else {
            for (int i = 0; i < COUNT; i++)
                if (n + i < C) store(to[row.at + n + i], y[i]);
        }
    }
};

// Where the gradient of a layer's input goes: 0 where the output `over` of a ReLU is 0, if it is one.
template <int CHANNELS>
struct Gradient {
    enum { C = CHANNELS };
    typedef Pixel Row;
    value* to;
    const value* over;
    template <int COUNT>
    __device__ void column(int, float (&)[COUNT]) const {}
    template <int COUNT>
    __device__ void put(const Row& row, int n, const float (&x)[COUNT], const float (&)[COUNT]) const {
        if (row.at < 0 || n >= C) return;
        if constexpr (COUNT > 1 && C % COUNT == 0) {
            float y[COUNT];
            for (int i = 0; i < COUNT; i++) y[i] = x[i];
            store_masked(over, to, row.at + n, y);
        } else {
            for (int i = 0; i < COUNT; i++)
                if (n + i < C) store(to[row.at + n + i], over && !(number(over[row.at + n + i]) > 0.0f) ? 0.0f : x[i]);
        }
    }
};
