// Convolutions whose wide image has one channel, as clips have: there is too little to multiply for a product of matrices.
// Each thread has VALUES neighbouring narrow channels, which a vector holds; ACROSS threads have those of one pixel, or at most
// 32 of them, and `blockIdx.y` says which. The weights of a thread are neighbours in memory.
//
// All sums are of single precision whatever PRODUCTS says, and in a fixed order.

template <class P>
struct Thin {
    enum {
        VECTORS = (P::NARROW_C + VALUES - 1) / VALUES, ACROSS = VECTORS < 32 ? VECTORS : 32, AT_ONCE = THREADS / ACROSS,
        ALIGNED = P::NARROW_C % VALUES == 0
    };
    int vector, place;  // Which channels, and which of the pixels that a block has at once.
    __device__ Thin() : vector(blockIdx.y * ACROSS + threadIdx.x % ACROSS), place(threadIdx.x / ACROSS) {}
    __device__ bool any() const { return place < AT_ONCE && vector < VECTORS; }
    // The narrow numbers of the thread at a pixel.
    __device__ void read(float (&to)[VALUES], const value* narrow, u32 pixel) const {
        const value* const from = narrow + size_t(pixel) * P::NARROW_C + vector * VALUES;
        if (ALIGNED) {
            const Vector all = *(const Vector*)from;
#pragma unroll
            for (int v = 0; v < VALUES; v++) to[v] = number(all, v);
            return;
        }
        for (int v = 0; v < VALUES; v++) to[v] = vector * VALUES + v < P::NARROW_C ? number(from[v]) : 0.0f;
    }
    // The weights of the thread.
    __device__ void weights(float (&to)[VALUES][P::SQUARE], const float* weight) const {
#pragma unroll
        for (int v = 0; v < VALUES; v++)
#pragma unroll
            for (int tap = 0; tap < P::SQUARE; tap++) {
                const int channel = vector * VALUES + v;
                to[v][tap] = any() && channel < P::NARROW_C ? weight[channel * P::SQUARE + tap] : 0.0f;
            }
    }
};

// How many pixels a thread has, one after the other.
const int THIN_EACH = 8;

// As `to_narrow`. Launch: blocks (ceil(images x narrow area / (AT_ONCE x THIN_EACH)), ceil(VECTORS / ACROSS)), 256 threads.
template <class P, class To>
__device__ void thin_narrow(const float* weight, const value* wide, int images, const To& out) {
    const Thin<P> own;
    if (!own.any()) return;
    float w[VALUES][P::SQUARE], added[VALUES];
    own.weights(w, weight);
    out.column(own.vector * VALUES, added);
    for (int turn = 0; turn < THIN_EACH; turn++) {
        const int pixel = (blockIdx.x * THIN_EACH + turn) * Thin<P>::AT_ONCE + own.place;
        if (pixel >= images * P::NARROW_AREA) return;
        const Patch<P> patch(pixel);
        float met[P::SQUARE], sums[VALUES];
#pragma unroll
        for (int tap = 0; tap < P::SQUARE; tap++) {
            const int at = patch.met(tap / P::KERNEL, tap % P::KERNEL);
            met[tap] = 0.0f;
            if (at >= 0) met[tap] = number(wide[at]);
        }
#pragma unroll
        for (int v = 0; v < VALUES; v++) {
            sums[v] = 0.0f;
#pragma unroll
            for (int tap = 0; tap < P::SQUARE; tap++) sums[v] = fmaf(w[v][tap], met[tap], sums[v]);
        }
        const Pixel row = {(long long)pixel * P::NARROW_C};
        out.put(row, own.vector * VALUES, sums, added);
    }
}

// As `to_wide`. A cell is the STRIDE x STRIDE wide pixels whose first taps belong to one narrow pixel: they meet the same
// narrow pixels. Launch: blocks (ceil(images x cells / (AT_ONCE x THIN_EACH))), 256 threads.
template <class P, class To>
__device__ void thin_wide(const float* weight, const value* narrow, int images, const To& out) {
    enum {
        S = P::STRIDE, ROWS = (P::WIDE_H + P::PADDING + S - 1) / S, COLUMNS = (P::WIDE_W + P::PADDING + S - 1) / S,
        MOST = (P::KERNEL + S - 1) / S, ACROSS = Thin<P>::ACROSS, AT_ONCE = Thin<P>::AT_ONCE
    };
    __shared__ float shared[S * S][THREADS];
    float added[1];
    out.column(0, added);
    float w[VALUES][P::SQUARE];
    Thin<P> own;
    own.weights(w, weight);
    for (int turn = 0; turn < THIN_EACH; turn++) {
        const int cell = (blockIdx.x * THIN_EACH + turn) * AT_ONCE + own.place;
        const int image = cell / (ROWS * COLUMNS), row = cell % (ROWS * COLUMNS) / COLUMNS, column = cell % COLUMNS;
        const bool any = own.place < AT_ONCE && image < images;
        float sums[S][S];
#pragma unroll
        for (int r = 0; r < S; r++)
#pragma unroll
            for (int s = 0; s < S; s++) sums[r][s] = 0.0f;
        for (own.vector = threadIdx.x % ACROSS; any && own.vector < Thin<P>::VECTORS; own.vector += ACROSS) {
            // Where a thread has other channels after these, it fetches their weights every time.
            if (Thin<P>::VECTORS > ACROSS) own.weights(w, weight);
#pragma unroll
            for (int a = 0; a < MOST; a++)
#pragma unroll
                for (int b = 0; b < MOST; b++) {
                    const u32 i = row - a, j = column - b;
                    if (i >= u32(P::NARROW_H) || j >= u32(P::NARROW_W)) continue;
                    float x[VALUES];
                    own.read(x, narrow, (image * P::NARROW_H + i) * P::NARROW_W + j);
#pragma unroll
                    for (int r = 0; r < S; r++)
#pragma unroll
                        for (int s = 0; s < S; s++) {
                            if (r + S * a >= P::KERNEL || s + S * b >= P::KERNEL) continue;
#pragma unroll
                            for (int v = 0; v < VALUES; v++)
                                sums[r][s] = fmaf(x[v], w[v][(r + S * a) * P::KERNEL + s + S * b], sums[r][s]);
                        }
                }
        }
#pragma unroll
        for (int r = 0; r < S; r++)
#pragma unroll
            for (int s = 0; s < S; s++) shared[r * S + s][threadIdx.x] = sums[r][s];
        __syncthreads();
        const int lane = threadIdx.x % ACROSS;
        for (int one = lane; any && one < S * S; one += ACROSS) {
            const int y = row * S + one / S - P::PADDING, x = column * S + one % S - P::PADDING;
            if (y < 0 || x < 0 || y >= P::WIDE_H || x >= P::WIDE_W) continue;
            float sum[1] = {0.0f};
            for (int other = 0; other < ACROSS; other++) sum[0] += shared[one][own.place * ACROSS + other];
            const Pixel to = {((long long)image * P::WIDE_H + y) * P::WIDE_W + x};
            out.put(to, 0, sum, added);
        }
        __syncthreads();
    }
}

// As `to_weight`; a part is `each` pixels. Launch: blocks (parts, ceil(VECTORS / ACROSS)), 256 threads.
template <class P>
__device__ void thin_weight(const value* narrow, const value* wide, int images, int each, float* parts) {
    // More sums would not fit into registers: the pixels are read again for the next taps.
    enum { TAPS = 9, AT_ONCE = Thin<P>::AT_ONCE, ACROSS = Thin<P>::ACROSS };
    __shared__ float shared[VALUES][THREADS];
    const Thin<P> own;
    const int pixels = images * P::NARROW_AREA, first = blockIdx.x * each, end = first + each < pixels ? first + each : pixels;
    for (int tap0 = 0; tap0 < P::SQUARE; tap0 += TAPS) {
        float sums[TAPS][VALUES];
#pragma unroll
        for (int t = 0; t < TAPS; t++)
#pragma unroll
            for (int v = 0; v < VALUES; v++) sums[t][v] = 0.0f;
        for (int pixel = first + own.place; own.any() && pixel < end; pixel += AT_ONCE) {
            const Patch<P> patch(pixel);
            float x[VALUES];
            own.read(x, narrow, pixel);
#pragma unroll
            for (int t = 0; t < TAPS; t++) {
                const int tap = tap0 + t, at = patch.met(tap / P::KERNEL, tap % P::KERNEL);
                float met = 0.0f;
                if (at >= 0 && tap < P::SQUARE) met = number(wide[at]);
#pragma unroll
                for (int v = 0; v < VALUES; v++) sums[t][v] = fmaf(x[v], met, sums[t][v]);
            }
        }
#pragma unroll
        for (int t = 0; t < TAPS; t++) {
#pragma unroll
            for (int v = 0; v < VALUES; v++) shared[v][threadIdx.x] = sums[t][v];
            sum_over_places(shared, own.place, AT_ONCE, ACROSS);
            for (int v = 0; v < VALUES; v++) {
                const int channel = own.vector * VALUES + v;
                if (own.place == 0 && tap0 + t < P::SQUARE && channel < P::NARROW_C)
                    parts[(size_t(blockIdx.x) * P::NARROW_C + channel) * P::SQUARE + tap0 + t] = shared[v][threadIdx.x];
            }
            __syncthreads();
        }
    }
}
