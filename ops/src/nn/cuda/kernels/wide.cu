// wide[image, (y, x), n] = sum of W[c, a, b, n] narrow[image, (i, j), c] over all (c, a, b, i, j) that meet
// (y, x) (+ bias[n], ReLU): a transposed convolution forward, and a convolution back to the gradient
// of its input.
//
// Wide pixels of one phase ((y + PADDING) mod STRIDE, (x + PADDING) mod STRIDE) meet the same taps,
// so each phase is a product of its own, without zeros between.
// Launch: blocks (ceil(images x pixels of the largest phase / rows), ceil(wide channels / columns), STRIDE^2), 256 threads.

// One axis of a phase: which wide coordinates belong to it and which taps they meet.
struct Phase {
    u32 first, count, shift, tap, taps;
};

template <int LENGTH, int KERNEL, int STRIDE, int PADDING>
__device__ Phase phase_of(int residue) {
    // The least coordinate >= 0 with (coordinate + PADDING) mod STRIDE = residue.
    const u32 first = ((residue - PADDING) % STRIDE + STRIDE) % STRIDE;
    const Phase phase = {
        first, first < LENGTH ? (LENGTH - first + STRIDE - 1) / STRIDE : 0, (first + PADDING) / STRIDE, u32(residue),
        u32(residue < KERNEL ? (KERNEL - residue + STRIDE - 1) / STRIDE : 0)};
    return phase;
}

// x / by, where `by` is one of two constants: such divisions are a multiplication, and the compiler may
// move them out of the loop.
template <int MOST, int FEWER>
__device__ inline u32 divided(u32 x, u32 by) {
    const u32 by_most = x / MOST, by_fewer = x / (FEWER > 0 ? FEWER : 1);
    return by == MOST ? by_most : by_fewer;
}

// The image and the place within its phase of the m-th row: an axis of LENGTH wide pixels has as
// many of a phase as LENGTH / STRIDE, rounded up or down.
template <class P>
struct PhasePixel {
    u32 image, i, j;
    __device__ PhasePixel(const Phase& down, const Phase& along, u32 m) {
        enum { S = P::STRIDE, H = P::WIDE_H, W = P::WIDE_W };
        const u32 row = divided<(W + S - 1) / S, W / S>(m, along.count);
        image = divided<(H + S - 1) / S, H / S>(row, down.count);
        i = row - image * down.count;
        j = m - row * along.count;
    }
};

// The k-th term of a phase: the tap (a, b), counted within the phase, and the narrow channel.
template <class P>
struct PhaseTerm {
    // An axis of a phase meets MOST taps or one fewer.
    enum { MOST = (P::KERNEL + P::STRIDE - 1) / P::STRIDE };
    u32 a, b, channel;
    __device__ PhaseTerm(const Phase& along, u32 k) {
        const u32 tap = k / P::NARROW_C;
        channel = k % P::NARROW_C;
        a = divided<MOST, MOST - 1>(tap, along.taps);
        b = tap - a * along.taps;
    }
};

template <class P>
struct WidePatches {
    enum { ALONG_K = true };
    typedef Chunk<value> Fetched;
    struct Line {
        u32 image, i, j;
    };
    const value* narrow;
    Phase down, along;
    int pixels;
    __device__ Line line(int m) const {
        const PhasePixel<P> pixel(down, along, m < pixels ? m : 0);
        return {pixel.image * P::NARROW_AREA, m < pixels ? pixel.i + down.shift : 1u << 30, pixel.j + along.shift};
    }
    __device__ int at(const Line& line, int k) const {
        const PhaseTerm<P> term(along, k);
        const u32 i = line.i - term.a, j = line.j - term.b;
        const bool inside = i < u32(P::NARROW_H) && j < u32(P::NARROW_W);
        return inside ? int((line.image + i * P::NARROW_W + j) * P::NARROW_C + term.channel) : -1;
    }
    __device__ Source find(const Line& line, int k, int end) const {
        const int found = at(line, k);
        return {narrow + found, found >= 0 && k < end};
    }
    __device__ void fetch(Fetched& to, const Line& line, int k, int end) const {
        to.clear();
        if (P::NARROW_C % CHUNK == 0) {
            to.load(find(line, k, end));
            return;
        }
        for (int i = 0; i < CHUNK; i++) {
            const int found = at(line, k + i);
            if (found >= 0 && k + i < end) to.set(i, narrow[found]);
        }
    }
};

template <class P>
struct WideWeight {
    enum { ALONG_K = false };
    typedef Chunk<value> Fetched;
    struct Line {
        int n;
    };
    const value* weight;
    Phase down, along;
    __device__ Line line(int n) const { return {n}; }
    __device__ Source find(const Line& line, int k, int end) const {
        const PhaseTerm<P> term(along, k);
        const u32 a = down.tap + term.a * P::STRIDE, b = along.tap + term.b * P::STRIDE;
        const bool is_there = k < end && line.n < P::WIDE_C;
        return {weight + term.channel * P::TAPS + (a * P::KERNEL + b) * P::WIDE_C + line.n, is_there};
    }
    __device__ void fetch(Fetched& to, const Line& line, int k, int end) const {
        to.clear();
        const Source from = find(line, k, end);
        if (P::WIDE_C % CHUNK == 0) {
            to.load(from);
            return;
        }
        for (int i = 0; i < CHUNK; i++)
            if (from.is_there && line.n + i < P::WIDE_C) to.set(i, ((const value*)from.at)[i]);
    }
};

template <class P, class To>
struct WideOut : To {
    Phase down, along;
    int pixels;
    __device__ Pixel row(int m) const {
        if (m >= pixels) return {-1};
        const PhasePixel<P> from(down, along, m);
        const u32 y = down.first + from.i * P::STRIDE, x = along.first + from.j * P::STRIDE;
        return {(long long)(from.image * P::WIDE_AREA + y * P::WIDE_W + x) * P::WIDE_C};
    }
};

template <class P, class Tile, class To>
__device__ void to_wide(const value* weight, const value* narrow, int images, const To& to) {
    const Phase down = phase_of<P::WIDE_H, P::KERNEL, P::STRIDE, P::PADDING>(blockIdx.z / P::STRIDE);
    const Phase along = phase_of<P::WIDE_W, P::KERNEL, P::STRIDE, P::PADDING>(blockIdx.z % P::STRIDE);
    const int pixels = images * down.count * along.count;
    if (int(blockIdx.x) * Tile::ROWS >= pixels) return;
    const WidePatches<P> a = {narrow, down, along, pixels};
    const WideWeight<P> b = {weight, down, along};
    const WideOut<P, To> out = {to, down, along, pixels};
    product<Tile>(0, down.taps * along.taps * P::NARROW_C, a, b, out);
}
