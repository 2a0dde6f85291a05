// C(m, n) = sum over k of A(m, k) B(k, n): the loop that all products of matrices share.
//
// A block of 256 threads makes ROWS x COLUMNS of C, sixteen k at a time: it moves both factors into
// shared memory, while it has already asked for the next sixteen. The sum over k is taken in
// order, so the same factors give the same bits. Factors are objects that know where numbers lie:
// at(m, from, step) or at(from, step, n) for k = from + step, where `from` is a multiple of DEPTH and
// the same for the whole block, so that what follows from it alone is worked out once for all steps;
// `along_k` says that neighbours in memory are neighbours in k.

const int DEPTH = 16;
const int THREADS = 256;

// Products in single precision: each thread makes ROWS_EACH x COLUMNS_EACH of C.
template <int ROWS_, int COLUMNS_, int ROWS_EACH, int COLUMNS_EACH>
struct Plain {
    enum { ROWS = ROWS_, COLUMNS = COLUMNS_, ACROSS = COLUMNS_ / COLUMNS_EACH };
    struct Room {
        float a[DEPTH][ROWS_ + 4], b[DEPTH][COLUMNS_ + 4];
        __device__ void put_a(int m, int k, float x) { a[k][m] = x; }
        __device__ void put_b(int k, int n, float x) { b[k][n] = x; }
    };
    float sums[ROWS_EACH][COLUMNS_EACH];

    __device__ Plain() {
        for (int i = 0; i < ROWS_EACH; i++)
            for (int j = 0; j < COLUMNS_EACH; j++) sums[i][j] = 0.0f;
    }

    __device__ void multiply(const Room& room) {
        const int m = threadIdx.x / ACROSS * ROWS_EACH, n = threadIdx.x % ACROSS;
#pragma unroll
        for (int k = 0; k < DEPTH; k++) {
            float a[ROWS_EACH], b[COLUMNS_EACH];
#pragma unroll
            for (int i = 0; i < ROWS_EACH; i++) a[i] = room.a[k][m + i];
#pragma unroll
            for (int j = 0; j < COLUMNS_EACH; j++) b[j] = room.b[k][n + j * ACROSS];
#pragma unroll
            for (int i = 0; i < ROWS_EACH; i++)
#pragma unroll
                for (int j = 0; j < COLUMNS_EACH; j++) sums[i][j] = fmaf(a[i], b[j], sums[i][j]);
        }
    }

    template <class Out>
    __device__ void hand_over(int m0, int n0, int rows, int columns, const Out& out) const {
        const int m = m0 + threadIdx.x / ACROSS * ROWS_EACH, n = n0 + threadIdx.x % ACROSS;
#pragma unroll
        for (int i = 0; i < ROWS_EACH; i++)
#pragma unroll
            for (int j = 0; j < COLUMNS_EACH; j++)
                if (m + i < rows && n + j * ACROSS < columns)
                    out.put(m + i, n + j * ACROSS, sums[i][j]);
    }
};

#if PRODUCTS > 0
#if PRODUCTS == 1
typedef float Cell;
const int PITCH = DEPTH + 4;
#else
typedef unsigned short Cell;
const int PITCH = DEPTH + 8;
#endif

__device__ inline u32 word(const float* at) { return __float_as_uint(*at); }
__device__ inline u32 word(const unsigned short* at) { return *(const u32*)at; }

// Products on tensor cores (m16n8k8 of tf32, m16n8k16 of bf16): eight warps, each of which makes
// HIGH tiles of sixteen rows by WIDE tiles of eight columns.
template <int ROWS_, int COLUMNS_>
struct Tensor {
    enum {
        ROWS = ROWS_, COLUMNS = COLUMNS_, DOWN = ROWS_ == 32 ? 1 : 2,
        HIGH = ROWS_ / DOWN / 16, WIDE = COLUMNS_ / (8 / DOWN) / 8
    };
    struct __align__(16) Room {
        Cell a[ROWS_][PITCH], b[COLUMNS_][PITCH];
#if PRODUCTS == 1
        __device__ void put_a(int m, int k, float x) { a[m][k] = to_tf32(x); }
        __device__ void put_b(int k, int n, float x) { b[n][k] = to_tf32(x); }
#else
        __device__ void put_a(int m, int k, float x) { a[m][k] = rounded(x); }
        __device__ void put_b(int k, int n, float x) { b[n][k] = rounded(x); }
#endif
    };
    float sums[HIGH][WIDE][4];

    __device__ Tensor() {
        for (int i = 0; i < HIGH; i++)
            for (int j = 0; j < WIDE; j++)
                for (int c = 0; c < 4; c++) sums[i][j][c] = 0.0f;
    }

    __device__ static int row() { return threadIdx.x / 32 % DOWN * (HIGH * 16) + threadIdx.x % 32 / 4; }
    __device__ static int column() { return threadIdx.x / 32 / DOWN * (WIDE * 8); }

    __device__ void multiply(const Room& room) {
        const int m = row(), n = column() + threadIdx.x % 32 / 4, t = threadIdx.x % 4;
#if PRODUCTS == 1
        const int step = 8, unit = 1, next = 4;
#else
        const int step = 16, unit = 2, next = 8;
#endif
#pragma unroll
        for (int k = 0; k < DEPTH; k += step) {
            u32 a[HIGH][4], b[WIDE][2];
#pragma unroll
            for (int i = 0; i < HIGH; i++)
#pragma unroll
                for (int part = 0; part < 4; part++)
                    a[i][part] = word(&room.a[m + i * 16 + part % 2 * 8][k + t * unit + part / 2 * next]);
#pragma unroll
            for (int j = 0; j < WIDE; j++)
#pragma unroll
                for (int part = 0; part < 2; part++)
                    b[j][part] = word(&room.b[n + j * 8][k + t * unit + part * next]);
#pragma unroll
            for (int i = 0; i < HIGH; i++)
#pragma unroll
                for (int j = 0; j < WIDE; j++) multiply_tiles(sums[i][j], a[i], b[j]);
        }
    }

    template <class Out>
    __device__ void hand_over(int m0, int n0, int rows, int columns, const Out& out) const {
        const int left = n0 + column() + threadIdx.x % 4 * 2;
#pragma unroll
        for (int i = 0; i < HIGH; i++)
#pragma unroll
            for (int j = 0; j < WIDE; j++)
#pragma unroll
                for (int c = 0; c < 4; c++) {
                    const int m = m0 + row() + i * 16 + c / 2 * 8, n = left + j * 8 + c % 2;
                    if (m < rows && n < columns) out.put(m, n, sums[i][j][c]);
                }
    }
};
#endif

// The tile for so many rows. A few rows are not worth a tensor core.
template <int HEIGHT> struct TileOf;
template <> struct TileOf<1> { typedef Plain<1, 256, 1, 1> Tile; };
template <> struct TileOf<8> { typedef Plain<8, 128, 2, 2> Tile; };
#if PRODUCTS == 0
template <> struct TileOf<32> { typedef Plain<32, 128, 4, 4> Tile; };
template <> struct TileOf<64> { typedef Plain<64, 128, 8, 4> Tile; };
template <> struct TileOf<128> { typedef Plain<128, 128, 8, 8> Tile; };
#else
template <> struct TileOf<32> { typedef Tensor<32, 128> Tile; };
template <> struct TileOf<64> { typedef Tensor<64, 128> Tile; };
template <> struct TileOf<128> { typedef Tensor<128, 128> Tile; };
#endif

// Rows `blockIdx.y`, columns `blockIdx.x` of the product over k from `first` up to `end`.
template <class Tile, class A, class B, class Out>
__device__ void product(int rows, int columns, int first, int end, const A& a, const B& b, const Out& out) {
    enum { A_EACH = (Tile::ROWS * DEPTH + THREADS - 1) / THREADS, B_EACH = Tile::COLUMNS * DEPTH / THREADS };
    __shared__ typename Tile::Room room;
    const int thread = threadIdx.x, m0 = blockIdx.y * Tile::ROWS, n0 = blockIdx.x * Tile::COLUMNS;
    float next_a[A_EACH], next_b[B_EACH];
    Tile tile;
    for (int k0 = first - DEPTH; k0 < end; k0 += DEPTH) {
        if (k0 >= first) {
#pragma unroll
            for (int i = 0; i < A_EACH; i++) {
                const int e = thread + i * THREADS;
                const int m = a.along_k() ? e / DEPTH : e % Tile::ROWS, k = a.along_k() ? e % DEPTH : e / Tile::ROWS;
                if (e < Tile::ROWS * DEPTH) room.put_a(m, k, next_a[i]);
            }
#pragma unroll
            for (int i = 0; i < B_EACH; i++) {
                const int e = thread + i * THREADS;
                const int n = b.along_k() ? e / DEPTH : e % Tile::COLUMNS, k = b.along_k() ? e % DEPTH : e / Tile::COLUMNS;
                room.put_b(k, n, next_b[i]);
            }
            __syncthreads();
        }
        const int from = k0 + DEPTH;
        if (from < end) {
#pragma unroll
            for (int i = 0; i < A_EACH; i++) {
                const int e = thread + i * THREADS;
                const int m = m0 + (a.along_k() ? e / DEPTH : e % Tile::ROWS);
                const int step = a.along_k() ? e % DEPTH : e / Tile::ROWS;
                next_a[i] = e < Tile::ROWS * DEPTH && m < rows && from + step < end ? a.at(m, from, step) : 0.0f;
            }
#pragma unroll
            for (int i = 0; i < B_EACH; i++) {
                const int e = thread + i * THREADS;
                const int n = n0 + (b.along_k() ? e / DEPTH : e % Tile::COLUMNS);
                const int step = b.along_k() ? e % DEPTH : e / Tile::COLUMNS;
                next_b[i] = n < columns && from + step < end ? b.at(from, step, n) : 0.0f;
            }
        }
        if (k0 >= first) {
            tile.multiply(room);
            __syncthreads();
        }
    }
    tile.hand_over(m0, n0, rows, columns, out);
}
