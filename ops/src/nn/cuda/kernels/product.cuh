// C(m, n) = sum over k of A(m, k) B(k, n): the loop that all products of matrices share.
//
// A block of 256 threads makes ROWS x COLUMNS of C, DEPTH k at a time: it moves both factors into one of two rooms of
// shared memory, and asks for the next DEPTH before it multiplies these. The sum over k is taken in order, so the same
// factors give the same bits.
//
// A factor comes in chunks of sixteen bytes of its room. Its numbers are neighbours in memory along k, or along m or n:
// ALONG_K says which. line(i) works out once what all chunks of row or column i share, or of the CHUNK of them from i on;
// fetch(to, line, k) gets a chunk: the CHUNK of k from k on, or one k. What lies outside of the matrix is 0. A fetch does
// nothing else with numbers that come from memory: the first who looks at them waits for them, and that is `to_run` after
// the product. An Out gets row(m) and column(n, sums) of neighbouring n, and put(row, n, sums, column).

const int THREADS = 256;
// Blocks that a processor must have registers for: while one waits for memory, the other multiplies.
const int BLOCKS = 2;

#if PRODUCTS == 2
typedef unsigned short Cell;
#else
typedef float Cell;
#endif
// Numbers of a chunk, and k of a room: four chunks.
const int CHUNK = 16 / sizeof(Cell), DEPTH = 4 * CHUNK;

// A chunk as it comes from memory, of single precision or of an image.
template <class T>
struct Chunk {
    enum { RUNS = CHUNK * sizeof(T) / 16 };
    Run run[RUNS];

    __device__ void clear() {
        for (int i = 0; i < RUNS; i++) run[i] = no_run();
    }
    __device__ void read(const T* from) {
        for (int i = 0; i < RUNS; i++) run[i] = ((const Run*)from)[i];
    }
    // For matrices whose rows do not consist of chunks.
    __device__ void set(int i, T x) {
        const u32 bits = sizeof(T) == 2 ? *(const unsigned short*)&x : *(const u32*)&x;
        const int each = 4 / sizeof(T), shift = i % each * 16;
        u32& word = run[i / each / 4].word[i / each % 4];
        word = each == 1 ? bits : (word & ~(0xffffu << shift)) | bits << shift;
    }
};

// The cells of a chunk.
__device__ inline Run to_run(const Chunk<float>& x) {
#if PRODUCTS == 2
    Run run;
    for (int i = 0; i < 4; i++)
        run.word[i] = rounded_pair(__uint_as_float(x.run[i / 2].word[i % 2 * 2]), __uint_as_float(x.run[i / 2].word[i % 2 * 2 + 1]));
    return run;
#elif PRODUCTS == 1
    Run run;
    for (int i = 0; i < 4; i++) run.word[i] = __float_as_uint(to_tf32(__uint_as_float(x.run[0].word[i])));
    return run;
#else
    return x.run[0];
#endif
}
#if PRODUCTS == 2
__device__ inline Run to_run(const Chunk<bf16>& x) { return x.run[0]; }
#endif

// Which chunks of a side a thread moves: a quarter of a room's k for some rows, or some k of CHUNK rows.
template <int SIDE, bool ALONG_K>
struct Share {
    enum {
        CHUNKS = ALONG_K ? 4 : SIDE / CHUNK, STRIDE = THREADS / CHUNKS,
        EACH = SIDE * 4 < THREADS ? 1 : SIDE * 4 / THREADS, LINES = ALONG_K ? EACH : 1
    };
    u32 chunk, first;
    __device__ Share() : chunk(threadIdx.x % CHUNKS), first(threadIdx.x / CHUNKS) {}
    // Of a narrow side some threads have nothing.
    __device__ bool any() const { return SIDE * 4 >= THREADS || threadIdx.x < SIDE * 4; }
    __device__ u32 index(int i) const { return ALONG_K ? first + i * STRIDE : chunk * CHUNK; }
    __device__ u32 step(int i) const { return ALONG_K ? chunk * CHUNK : first + i * STRIDE; }
};

// Products in single precision: each thread makes ROWS_EACH x COLUMNS_EACH of C, of which four columns are neighbours.
template <int ROWS_, int COLUMNS_>
struct Plain {
    enum {
        ROWS = ROWS_, COLUMNS = COLUMNS_, COLUMNS_EACH = ROWS_ * COLUMNS_ == 128 * 128 ? 8 : 4, ACROSS = COLUMNS_ / COLUMNS_EACH,
        ROWS_EACH = ROWS_ * COLUMNS_ / THREADS / COLUMNS_EACH, NEXT = 4
    };

    // Rows of a room are k.
    template <int SIDE, bool ALONG_K>
    struct Room {
        float cell[DEPTH][SIDE + 4];
        __device__ void put(u32 index, u32 step, const Run& run) {
            if (!ALONG_K) {
                write_shared(*(Run*)&cell[step][index], run);
                return;
            }
            // Half of the lanes write the last two k first: so eight lines of four chunks of k lie in different banks.
            const u32 late = step / CHUNK / 2 * 2;
#pragma unroll
            for (int i = 0; i < CHUNK; i++)
                write_shared(cell[step + (i ^ late)][index], __uint_as_float(late ? run.word[i ^ 2] : run.word[i]));
        }
    };
    float sums[ROWS_EACH][COLUMNS_EACH];

    __device__ Plain() {
        for (int i = 0; i < ROWS_EACH; i++)
            for (int j = 0; j < COLUMNS_EACH; j++) sums[i][j] = 0.0f;
    }

    __device__ static int top() { return threadIdx.x / ACROSS * ROWS_EACH; }
    __device__ static int left() { return threadIdx.x % ACROSS * 4; }

    template <class A, class B>
    __device__ void multiply(const A& a, const B& b) {
#pragma unroll
        for (int k = 0; k < DEPTH; k++) {
            Run x[ROWS_EACH / 4], y[COLUMNS_EACH / 4];
#pragma unroll
            for (int i = 0; i < ROWS_EACH / 4; i++) x[i] = read_shared(*(const Run*)&a.cell[k][top() + 4 * i]);
#pragma unroll
            for (int j = 0; j < COLUMNS_EACH / 4; j++) y[j] = read_shared(*(const Run*)&b.cell[k][left() + 4 * ACROSS * j]);
#pragma unroll
            for (int i = 0; i < ROWS_EACH; i++)
#pragma unroll
                for (int j = 0; j < COLUMNS_EACH; j++)
                    sums[i][j] = fmaf(__uint_as_float(x[i / 4].word[i % 4]), __uint_as_float(y[j / 4].word[j % 4]), sums[i][j]);
        }
    }

    template <class Out>
    __device__ void hand_over(int m0, int n0, const Out& out) const {
        typename Out::Row rows[ROWS_EACH];
#pragma unroll
        for (int i = 0; i < ROWS_EACH; i++) rows[i] = out.row(m0 + top() + i);
#pragma unroll
        for (int j = 0; j < COLUMNS_EACH; j += 4) {
            const int n = n0 + left() + ACROSS * j;
            float column[4];
            out.column(n, column);
#pragma unroll
            for (int i = 0; i < ROWS_EACH; i++) {
                const float x[4] = {sums[i][j], sums[i][j + 1], sums[i][j + 2], sums[i][j + 3]};
                out.put(rows[i], n, x, column);
            }
        }
    }
};

#if PRODUCTS > 0
// Products on tensor cores (m16n8k8 of tf32, m16n8k16 of bf16): eight warps, each of which makes
// HIGH tiles of sixteen rows by WIDE tiles of eight columns.
template <int ROWS_, int COLUMNS_>
struct Tensor {
    enum {
        ROWS = ROWS_, COLUMNS = COLUMNS_, DOWN = COLUMNS_ < 128 ? ROWS_ / 32 : ROWS_ > 128 ? 4 : ROWS_ < 64 ? 1 : 2,
        HIGH = ROWS_ / DOWN / 16, WIDE = COLUMNS_ / (8 / DOWN) / 8
    };

    // A row of a room is four chunks of k, or one k. Chunks change places within a row so that the eight that an
    // instruction writes or reads lie in different banks of shared memory.
    template <int SIDE, bool ALONG_K>
    struct __align__(16) Room {
        enum { CHUNKS = ALONG_K ? 4 : SIDE / CHUNK, TURNED_WORDS = !ALONG_K && sizeof(Cell) == 4, PITCH = TURNED_WORDS ? SIDE + 8 : CHUNKS * CHUNK };
        Cell cell[(ALONG_K ? SIDE : int(DEPTH)) * PITCH];
        __device__ static u32 place(u32 row, u32 chunk) {
            if (!TURNED_WORDS) chunk ^= CHUNKS == 4 ? row / 2 % 4 : row % 8;
            return row * PITCH + chunk * CHUNK;
        }
        __device__ void put(u32 index, u32 step, const Run& run) {
            write_shared(*(Run*)&cell[ALONG_K ? place(index, step / CHUNK) : place(step, index / CHUNK)], run);
        }
        // The cells of a tile of sixteen rows from `index` on, for the s-th product of the room's k: upper and lower rows
        // of its first k, then of its last. `upper_first` is false for two tiles of columns, first and last k of each.
        __device__ void tile(u32 (&to)[4], int index, int s, bool upper_first) const {
            const int lane = threadIdx.x % 32, square = lane / 8, line = lane % 8;
            const int half = upper_first ? square % 2 : square / 2, late = upper_first ? square / 2 : square % 2;
            if (ALONG_K) {
                read_squares(to, &cell[place(index + half * 8 + line, 2 * s + late)]);
                return;
            }
#if PRODUCTS == 2
            read_turned_squares(to, &cell[place(s * 16 + late * 8 + line, index / 8 + half)]);
#else
#pragma unroll
            for (int i = 0; i < 4; i++) {
                const int below = upper_first ? i % 2 : i / 2, after = upper_first ? i / 2 : i % 2;
                to[i] = __float_as_uint(read_shared(cell[(s * 8 + after * 4 + lane % 4) * PITCH + index + below * 8 + lane / 4]));
            }
#endif
        }
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

    template <class A, class B>
    __device__ void multiply(const A& a, const B& b) {
#pragma unroll
        for (int s = 0; s < 2; s++) {
            u32 x[HIGH][4], y[WIDE / 2][4];
#pragma unroll
            for (int i = 0; i < HIGH; i++) a.tile(x[i], top() + i * 16, s, true);
#pragma unroll
            for (int j = 0; j < WIDE / 2; j++) b.tile(y[j], left() + j * 16, s, false);
#pragma unroll
            for (int i = 0; i < HIGH; i++)
#pragma unroll
                for (int j = 0; j < WIDE; j++) multiply_tiles(sums[i][j], x[i], &y[j / 2][j % 2 * 2]);
        }
    }

    template <class Out>
    __device__ void hand_over(int m0, int n0, const Out& out) const {
        const int m = m0 + top() + threadIdx.x % 32 / 4, n = n0 + left() + threadIdx.x % 4 * 2;
        typename Out::Row rows[HIGH * 2];
#pragma unroll
        for (int i = 0; i < HIGH * 2; i++) rows[i] = out.row(m + i * 8);
#pragma unroll
        for (int j = 0; j < WIDE; j++) {
            float column[2];
            out.column(n + j * 8, column);
#pragma unroll
            for (int i = 0; i < HIGH * 2; i++) {
                const float x[2] = {sums[i / 2][j][i % 2 * 2], sums[i / 2][j][i % 2 * 2 + 1]};
                out.put(rows[i], n + j * 8, x, column);
            }
        }
    }
};
template <int ROWS, int COLUMNS> struct TileOf { typedef Tensor<ROWS, COLUMNS> Tile; };
#else
template <int ROWS, int COLUMNS> struct TileOf { typedef Plain<ROWS, COLUMNS> Tile; };
#endif

// Rows `blockIdx.x`, columns `blockIdx.y` of the product over k from `first` up to `end`.
template <class Tile, class A, class B, class Out>
__device__ void product(int first, int end, const A& a, const B& b, const Out& out) {
    typedef Share<Tile::ROWS, A::ALONG_K> Down;
    typedef Share<Tile::COLUMNS, B::ALONG_K> Along;
    typedef typename Tile::template Room<Tile::ROWS, A::ALONG_K> Left;
    typedef typename Tile::template Room<Tile::COLUMNS, B::ALONG_K> Right;
    __shared__ Left lefts[2];
    __shared__ Right rights[2];
    const int m0 = blockIdx.x * Tile::ROWS, n0 = blockIdx.y * Tile::COLUMNS;
    const Down down;
    const Along along;
    typename A::Line down_lines[Down::LINES];
    typename B::Line along_lines[Along::LINES];
#pragma unroll
    for (int i = 0; i < Down::LINES; i++) down_lines[i] = a.line(m0 + down.index(i));
#pragma unroll
    for (int i = 0; i < Along::LINES; i++) along_lines[i] = b.line(n0 + along.index(i));
    typename A::Fetched next_a[Down::EACH];
    typename B::Fetched next_b[Along::EACH];
    Tile tile;
    int turn = 0;
    for (int k0 = first - DEPTH; k0 < end; k0 += DEPTH) {
        Left& left = lefts[turn];
        Right& right = rights[turn];
        turn = 1 - turn;
        if (k0 >= first) {
#pragma unroll
            for (int i = 0; i < Down::EACH; i++)
                if (down.any()) left.put(down.index(i), down.step(i), to_run(next_a[i]));
#pragma unroll
            for (int i = 0; i < Along::EACH; i++)
                if (along.any()) right.put(along.index(i), along.step(i), to_run(next_b[i]));
            __syncthreads();
        }
        const int from = k0 + DEPTH;
        if (from < end) {
#pragma unroll
            for (int i = 0; i < Down::EACH; i++)
                if (down.any()) a.fetch(next_a[i], down_lines[A::ALONG_K ? i : 0], from + down.step(i), end);
#pragma unroll
            for (int i = 0; i < Along::EACH; i++)
                if (along.any()) b.fetch(next_b[i], along_lines[B::ALONG_K ? i : 0], from + along.step(i), end);
        }
        if (k0 >= first) tile.multiply(left, right);
    }
    tile.hand_over(m0, n0, out);
}

// A matrix whose rows, or columns if they are not along k, lie one after the other.
template <class T, bool ALONG_K_>
struct Whole {
    enum { ALONG_K = ALONG_K_ };
    typedef Chunk<T> Fetched;
    const T* at;
    int side, inner;
    bool chunks;  // Whether rows in memory consist of chunks.
    struct Line {
        int index;
    };
    __device__ Line line(int index) const { return {index}; }
    __device__ void fetch(Fetched& to, const Line& line, int k, int end) const {
        to.clear();
        if (line.index >= side || k >= end) return;
        const T* from = at + (ALONG_K ? (long long)line.index * inner + k : (long long)k * side + line.index);
        if (chunks) {
            to.read(from);
            return;
        }
        const int left = ALONG_K ? end - k : side - line.index;
        for (int i = 0; i < CHUNK; i++)
            if (i < left) to.set(i, from[i]);
    }
};

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
__device__ inline void keep_over(const value* over, value* to, long long at, float (&x)[COUNT]) {
    if (over != nullptr) {
        float made[COUNT];
        read_all(over + at, made);
#pragma unroll
        for (int i = 0; i < COUNT; i++) x[i] = made[i] > 0.0f ? x[i] : 0.0f;
    }
    keep_all(to + at, x);
}
