// C(m, n) = sum over k of A(m, k) B(k, n): the loop that all products of matrices share.
//
// A block of 256 threads makes ROWS x COLUMNS of C, sixteen k at a time: it moves both factors into
// one of two rooms of shared memory, and asks for the next sixteen before it multiplies these. The sum
// over k is taken in order, so the same factors give the same bits. Factors are objects that know where
// numbers lie: at(m, from, step) or at(from, step, n) for k = from + step, where `from` is a multiple of
// DEPTH and the same for the whole block; `along_k` says that neighbours in memory are neighbours in k.
//
// What a thread fetches shares its k or its row, so what follows from that is worked out once for all of it: a Share
// says which numbers these are. What lies outside is fetched from within and made 0: quicker than a branch. `whole_rows` and `whole_k` say that nothing lies outside. And what follows from
// a row or a column of C alone is worked out once for all numbers of it that a thread hands over:
// put(row(m).at + column(n).at, C(m, n), row(m).bias + column(n).bias).

const int DEPTH = 16;
const int THREADS = 256;
// Blocks that a processor must have registers for: while one waits for memory, the other multiplies.
const int BLOCKS = 2;

// What a row or a column of C adds to the place of a number and to the number itself.
struct Spot {
    u32 at;
    float bias;
};

// Products in single precision: each thread makes ROWS_EACH x COLUMNS_EACH of C.
template <int ROWS_, int COLUMNS_, int ROWS_EACH, int COLUMNS_EACH>
struct Plain {
    enum { ROWS = ROWS_, COLUMNS = COLUMNS_, ACROSS = COLUMNS_ / COLUMNS_EACH };

    // One k of several rows, or one row at several k if these are neighbours in memory.
    template <int SIDE>
    struct Share {
        enum { EACH = (SIDE * DEPTH + THREADS - 1) / THREADS };
        u32 thread;
        bool along_k;
        __device__ u32 index(int i) const { return along_k ? thread / DEPTH + i * (THREADS / DEPTH) : thread % SIDE; }
        __device__ int step(int i) const { return int(along_k ? thread % DEPTH : thread / SIDE) + (along_k ? 0 : i * (THREADS / SIDE)); }
        // Of a narrow side some threads have nothing.
        __device__ bool any() const { return SIDE * DEPTH >= THREADS || thread < SIDE * DEPTH; }
        template <class T, int PITCH>
        __device__ void put(const T (&x)[EACH], float (*to)[PITCH]) const {
#pragma unroll
            for (int i = 0; i < EACH; i++)
                if (any()) to[step(i)][index(i)] = number(x[i]);
        }
    };
    struct Room {
        float a[DEPTH][ROWS_ + 4], b[DEPTH][COLUMNS_ + 4];
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
        Spot row[ROWS_EACH];
#pragma unroll
        for (int i = 0; i < ROWS_EACH; i++) row[i] = out.row(m + i < rows ? m + i : m0);
#pragma unroll
        for (int j = 0; j < COLUMNS_EACH; j++) {
            if (n + j * ACROSS >= columns) continue;
            const Spot column = out.column(n + j * ACROSS);
#pragma unroll
            for (int i = 0; i < ROWS_EACH; i++)
                if (m + i < rows) out.put(row[i].at + column.at, sums[i][j], row[i].bias + column.bias);
        }
    }
};

#if PRODUCTS > 0
// The rows of a room lie sixteen bytes more than needed apart: so eight of them, of which an instruction reads
// sixteen bytes each, lie in different banks of shared memory.
#if PRODUCTS == 1
typedef float Cell;
const int PITCH = DEPTH + 4;
#else
typedef unsigned short Cell;
const int PITCH = DEPTH + 8;
#endif

// Neighbours in a row of a room, which one or two instructions write.
template <int COUNT_>
struct __align__(COUNT_ < 4 ? COUNT_ * 4 : 16) Words {
    enum { COUNT = COUNT_ };
    u32 word[COUNT_];
};

// Products on tensor cores (m16n8k8 of tf32, m16n8k16 of bf16): eight warps, each of which makes
// HIGH tiles of sixteen rows by WIDE tiles of eight columns.
template <int ROWS_, int COLUMNS_>
struct Tensor {
    enum {
        ROWS = ROWS_, COLUMNS = COLUMNS_, DOWN = ROWS_ == 32 ? 1 : 2,
        HIGH = ROWS_ / DOWN / 16, WIDE = COLUMNS_ / (8 / DOWN) / 8
    };

    // Neighbours in k of one row, which are written to its room at once.
    template <int SIDE>
    struct Share {
        enum { EACH = SIDE * DEPTH / THREADS };
        u32 thread;
        bool along_k;
        __device__ u32 index(int) const { return thread % SIDE; }
        __device__ int step(int i) const { return int(thread / SIDE * EACH) + i; }
        __device__ bool any() const { return true; }
        template <class T>
        __device__ void put(const T (&x)[EACH], Cell (*to)[PITCH]) const {
            typedef Words<EACH * sizeof(Cell) / 4> Run;
            Run run;
#pragma unroll
            for (int i = 0; i < Run::COUNT; i++) run.word[i] = cells(&x[i * EACH / Run::COUNT]);
            *(Run*)&to[index(0)][step(0)] = run;
        }
    };
    struct __align__(16) Room {
        Cell a[ROWS_][PITCH], b[COLUMNS_][PITCH];
    };
    float sums[HIGH][WIDE][4];

    __device__ Tensor() {
        for (int i = 0; i < HIGH; i++)
            for (int j = 0; j < WIDE; j++)
                for (int c = 0; c < 4; c++) sums[i][j][c] = 0.0f;
    }

    // The first row and the first column of the warp.
    __device__ static int top() { return threadIdx.x / 32 % DOWN * (HIGH * 16); }
    __device__ static int left() { return threadIdx.x / 32 / DOWN * (WIDE * 8); }

    // Each instruction reads four squares of eight rows by sixteen bytes: of A those of one tile, upper and lower
    // rows first, of B both halves of two tiles. A lane names the row of one of them.
    __device__ void multiply(const Room& room) {
        const int lane = threadIdx.x % 32, square = lane / 8, line = lane % 8;
        const int half = 16 / sizeof(Cell);
        const Cell* const down = &room.a[top() + square % 2 * 8 + line][square / 2 * half];
        const Cell* const along = &room.b[left() + square / 2 * 8 + line][square % 2 * half];
#pragma unroll
        for (int k = 0; k < DEPTH; k += 2 * half) {
            u32 a[HIGH][4], b[WIDE / 2][4];
#pragma unroll
            for (int i = 0; i < HIGH; i++) read_squares(a[i], down + i * 16 * PITCH + k);
#pragma unroll
            for (int j = 0; j < WIDE / 2; j++) read_squares(b[j], along + j * 16 * PITCH + k);
#pragma unroll
            for (int i = 0; i < HIGH; i++)
#pragma unroll
                for (int j = 0; j < WIDE; j++) multiply_tiles(sums[i][j], a[i], &b[j / 2][j % 2 * 2]);
        }
    }

    template <class Out>
    __device__ void hand_over(int m0, int n0, int rows, int columns, const Out& out) const {
        const int m = m0 + top() + threadIdx.x % 32 / 4, n = n0 + left() + threadIdx.x % 4 * 2;
        Spot down[HIGH][2];
#pragma unroll
        for (int i = 0; i < HIGH; i++)
#pragma unroll
            for (int half = 0; half < 2; half++) {
                const int here = m + i * 16 + half * 8;
                down[i][half] = out.row(here < rows ? here : m0);
            }
#pragma unroll
        for (int j = 0; j < WIDE * 2; j++) {
            if (n + j / 2 * 8 + j % 2 >= columns) continue;
            const Spot along = out.column(n + j / 2 * 8 + j % 2);
#pragma unroll
            for (int i = 0; i < HIGH * 2; i++) {
                const Spot& here = down[i / 2][i % 2];
                if (m + i / 2 * 16 + i % 2 * 8 < rows)
                    out.put(here.at + along.at, sums[i / 2][j / 2][i % 2 * 2 + j % 2], here.bias + along.bias);
            }
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
    typedef typename Tile::template Share<Tile::ROWS> Down;
    typedef typename Tile::template Share<Tile::COLUMNS> Along;
    typedef decltype(a.at(0, 0, 0)) Left;
    typedef decltype(b.at(0, 0, 0)) Right;
    __shared__ typename Tile::Room rooms[2];
    const int m0 = blockIdx.y * Tile::ROWS, n0 = blockIdx.x * Tile::COLUMNS;
    const Down down = {threadIdx.x, a.along_k()};
    const Along along = {threadIdx.x, b.along_k()};
    Left next_a[Down::EACH];
    Right next_b[Along::EACH];
    Tile tile;
    int turn = 0;
    for (int k0 = first - DEPTH; k0 < end; k0 += DEPTH) {
        typename Tile::Room& room = rooms[turn];
        turn = 1 - turn;
        if (k0 >= first) {
            down.put(next_a, room.a);
            along.put(next_b, room.b);
            __syncthreads();
        }
        const int from = k0 + DEPTH;
        if (from < end) {
#pragma unroll
            for (int i = 0; i < Down::EACH; i++) {
                const int m = m0 + down.index(i), step = down.step(i);
                const bool is_row = a.whole_rows() || m < rows, is_term = a.whole_k() || from + step < end;
                const Left x = a.at(is_row ? m : m0, from, is_term ? step : 0);
                next_a[i] = is_row && is_term ? x : Left();
            }
#pragma unroll
            for (int i = 0; i < Along::EACH; i++) {
                const int n = n0 + along.index(i), step = along.step(i);
                const bool is_column = n < columns, is_term = b.whole_k() || from + step < end;
                const Right x = b.at(from, is_term ? step : 0, is_column ? n : n0);
                next_b[i] = is_column && is_term ? x : Right();
            }
        }
        if (k0 >= first) tile.multiply(room);
    }
    tile.hand_over(m0, n0, rows, columns, out);
}
