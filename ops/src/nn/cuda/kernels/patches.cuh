// The geometry that a convolution and its transpose share: narrow pixel (i, j) and tap (a, b) of
// the kernel meet wide pixel (i STRIDE + a - PADDING, j STRIDE + b - PADDING), if there is one.
// Weights are narrow channels x wide channels x KERNEL x KERNEL for both layers. An image has less than
// 2^31 numbers, and so has a batch of them.

template <int WIDE_C_, int WIDE_H_, int WIDE_W_, int NARROW_C_, int NARROW_H_, int NARROW_W_,
          int KERNEL_, int STRIDE_, int PADDING_>
struct Patches {
    enum {
        WIDE_C = WIDE_C_, WIDE_H = WIDE_H_, WIDE_W = WIDE_W_, WIDE_AREA = WIDE_H_ * WIDE_W_,
        NARROW_C = NARROW_C_, NARROW_H = NARROW_H_, NARROW_W = NARROW_W_, NARROW_AREA = NARROW_H_ * NARROW_W_,
        KERNEL = KERNEL_, STRIDE = STRIDE_, PADDING = PADDING_, SQUARE = KERNEL_ * KERNEL_, TAPS = WIDE_C_ * SQUARE
    };

    // What tap KERNEL a + b of a channel meets at narrow pixel `pixel` of an image; 0 outside.
    __device__ static value met(const value* wide, u32 image, int channel, u32 tap, u32 pixel) {
        const int a = tap / KERNEL, b = tap % KERNEL;
        const u32 i = pixel / NARROW_W, j = pixel % NARROW_W;
        const u32 y = i * STRIDE + (a - PADDING), x = j * STRIDE + (b - PADDING);
        // Below zero is beyond every length. What is outside is read from the first image, which is there: so the channel
        // is added last, and channels of one tap and pixel share all that comes before.
        const bool inside = y < WIDE_H && x < WIDE_W;
        const value* const first = wide + (inside ? image * (WIDE_C * WIDE_AREA) + y * WIDE_W + x : 0);
        const value found = first[(long long)channel * WIDE_AREA];
        return inside ? found : value();
    }
};

// A term of a sum that runs over rows of LENGTH, one after the other: which row, and where in it. Where rows fill whole
// steps of the product, the row is that of the whole block. Sums over channels have a row for each tap, sums over pixels
// one for each image.
template <int LENGTH>
struct Term {
    enum { WHOLE = LENGTH % DEPTH == 0 };
    u32 row;
    int at;
    __device__ Term(u32 from, int step) {
        row = (WHOLE ? from : from + step) / LENGTH;
        at = WHOLE ? int(from % LENGTH) + step : int((from + step) % LENGTH);
    }
};

// Where an image of a layer goes: plus the bias of its channel and without what is negative, if asked.
struct Image {
    value* to;
    const float* bias;
    int relu;
    __device__ float of(u32 channel) const { return bias ? bias[channel] : 0.0f; }
    __device__ void put(u32 at, float x, float bias) const {
        x += bias;
        keep(to[at], relu && x < 0.0f ? 0.0f : x);
    }
};
