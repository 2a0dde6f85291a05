// The geometry that a convolution and its transpose share: narrow pixel (i, j) and tap (a, b) of
// the kernel meet wide pixel (i STRIDE + a - PADDING, j STRIDE + b - PADDING), if there is one.
// Weights are narrow channels x wide channels x KERNEL x KERNEL for both layers.

template <int WIDE_C_, int WIDE_H_, int WIDE_W_, int NARROW_C_, int NARROW_H_, int NARROW_W_,
          int KERNEL_, int STRIDE_, int PADDING_>
struct Patches {
    enum {
        WIDE_C = WIDE_C_, WIDE_H = WIDE_H_, WIDE_W = WIDE_W_, WIDE_AREA = WIDE_H_ * WIDE_W_,
        NARROW_C = NARROW_C_, NARROW_H = NARROW_H_, NARROW_W = NARROW_W_, NARROW_AREA = NARROW_H_ * NARROW_W_,
        KERNEL = KERNEL_, STRIDE = STRIDE_, PADDING = PADDING_, SQUARE = KERNEL_ * KERNEL_, TAPS = WIDE_C_ * SQUARE
    };

    // What tap `tap` = (channel, a, b) meets at narrow pixel `pixel` of an image; 0 outside.
    __device__ static float met(const value* wide, size_t image, int tap, int pixel) {
        const int channel = tap / SQUARE, a = tap / KERNEL % KERNEL, b = tap % KERNEL;
        const int y = pixel / NARROW_W * STRIDE + a - PADDING, x = pixel % NARROW_W * STRIDE + b - PADDING;
        if (y < 0 || y >= WIDE_H || x < 0 || x >= WIDE_W) return 0.0f;
        return number(wide[(image * WIDE_C + channel) * WIDE_AREA + y * WIDE_W + x]);
    }
};

// Where an image of a layer goes: plus the bias of its channel and without what is negative, if asked.
struct Image {
    value* to;
    const float* bias;
    int relu;
    __device__ void put(size_t at, int channel, float x) const {
        if (bias) x += bias[channel];
        keep(to[at], relu && x < 0.0f ? 0.0f : x);
    }
};
