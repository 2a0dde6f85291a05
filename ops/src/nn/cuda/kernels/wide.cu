// wide[image, m, y, x] = sum of W[c, m, a, b] narrow[image, c, i, j] over all (c, a, b, i, j) that meet
// (y, x) (+ bias[m], ReLU): a transposed convolution forward, and a convolution back to the gradient
// of its input.
//
// Wide pixels of one phase ((y + PADDING) mod STRIDE, (x + PADDING) mod STRIDE) meet the same taps,
// so each phase is a product of its own, without zeros between.
// Launch: blocks (ceil(images x pixels of the largest phase / columns), ceil(wide channels / rows), STRIDE^2), 256 threads.

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

// The image and the place within its phase of the n-th column: an axis of LENGTH wide pixels has as
// many of a phase as LENGTH / STRIDE, rounded up or down.
template <class P>
struct Column {
    u32 image, i, j;
    __device__ Column(const Phase& down, const Phase& along, u32 n) {
        enum { S = P::STRIDE, H = P::WIDE_H, W = P::WIDE_W };
        const u32 row = divided<(W + S - 1) / S, W / S>(n, along.count);
        image = divided<(H + S - 1) / S, H / S>(row, down.count);
        i = row - image * down.count;
        j = n - row * along.count;
    }
};

// The tap (a, b) of a phase, counted within the phase, and the narrow channel that a term is about.
template <class P>
struct PhaseTerm : Term<P::NARROW_C> {
    // An axis of a phase meets MOST taps or one fewer.
    enum { MOST = (P::KERNEL + P::STRIDE - 1) / P::STRIDE };
    u32 a, b;
    __device__ PhaseTerm(const Phase& along, u32 from, int step) : Term<P::NARROW_C>(from, step) {
        a = divided<MOST, MOST - 1>(this->row, along.taps);
        b = this->row - a * along.taps;
    }
};

template <class P, class Tile>
struct WideWeight {
    const float* weight;
    Phase down, along;
    __device__ bool along_k() const { return false; }
    __device__ bool whole_rows() const { return P::WIDE_C % Tile::ROWS == 0; }
    __device__ bool whole_k() const { return Term<P::NARROW_C>::WHOLE; }
    __device__ float at(u32 m, u32 from, int step) const {
        const PhaseTerm<P> term(along, from, step);
        const u32 a = down.tap + term.a * P::STRIDE, b = along.tap + term.b * P::STRIDE;
        return (weight + m * P::SQUARE + a * P::KERNEL + b)[(long long)term.at * P::TAPS];
    }
};

template <class P>
struct WidePatches {
    const value* narrow;
    Phase down, along;
    __device__ bool along_k() const { return false; }
    __device__ bool whole_k() const { return Term<P::NARROW_C>::WHOLE; }
    __device__ value at(u32 from, int step, u32 n) const {
        const PhaseTerm<P> term(along, from, step);
        const Column<P> column(down, along, n);
        const u32 i = column.i + down.shift - term.a, j = column.j + along.shift - term.b;
        const bool inside = i < P::NARROW_H && j < P::NARROW_W;
        const u32 at = inside ? column.image * (P::NARROW_C * P::NARROW_AREA) + i * P::NARROW_W + j : 0;
        const value found = (narrow + at)[(long long)term.at * P::NARROW_AREA];
        return inside ? found : value();
    }
};

template <class P>
struct WideOut : Image {
    Phase down, along;
    __device__ Spot row(u32 m) const { return {m * P::WIDE_AREA, of(m)}; }
    __device__ Spot column(u32 n) const {
        const Column<P> from(down, along, n);
        const u32 y = down.first + from.i * P::STRIDE, x = along.first + from.j * P::STRIDE;
        return {from.image * (P::WIDE_C * P::WIDE_AREA) + y * P::WIDE_W + x, 0.0f};
    }
};

template <class P, class Tile>
__device__ void to_wide(const float* weight, const value* narrow, int images, const float* bias, int relu, value* wide) {
    const Phase down = phase_of<P::WIDE_H, P::KERNEL, P::STRIDE, P::PADDING>(blockIdx.z / P::STRIDE);
    const Phase along = phase_of<P::WIDE_W, P::KERNEL, P::STRIDE, P::PADDING>(blockIdx.z % P::STRIDE);
    const WideWeight<P, Tile> a = {weight, down, along};
    const WidePatches<P> b = {narrow, down, along};
    const WideOut<P> out = {{wide, bias, relu}, down, along};
    const int columns = images * down.count * along.count;
    if (int(blockIdx.x) * Tile::COLUMNS >= columns) return;
    product<Tile>(P::WIDE_C, columns, 0, down.taps * along.taps * P::NARROW_C, a, b, out);
}
