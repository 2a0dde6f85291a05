// How a block multiplies: the tile of C that it makes, and the parts of it that its warps and threads have.
//
// A tile multiplies one stage of both factors, which lie in its `SharedTile`s, and hands its sums to an Out, which gets row(m)
// and column(n, sums) of neighbouring n, and put(row, n, sums, column).

// Products in single precision: each thread makes ROWS_EACH x COLUMNS_EACH of C, of which four columns are neighbours.
template <int ROWS_, int COLUMNS_>
struct Simt {
    enum {
        ROWS = ROWS_, COLUMNS = COLUMNS_, STAGES = 2, COLUMNS_EACH = ROWS_ * COLUMNS_ == 128 * 128 ? 8 : 4, ACROSS = COLUMNS_ / COLUMNS_EACH,
        ROWS_EACH = ROWS_ * COLUMNS_ / THREADS / COLUMNS_EACH
    };

    // A row holds one k.
    template <int SIDE, bool ALONG_K>
    struct SharedTile {
        float element[DEPTH][SIDE + 4];
        __device__ void put(u32 index, u32 step, const Vector& vector) {
            if (!ALONG_K) {
                write_shared(*(Vector*)&element[step][index], vector);
                return;
            }
            // Half of the lanes write the last two k first: so eight lines of four chunks of k lie in different banks.
            const u32 late = step / CHUNK / 2 * 2;
#pragma unroll
            for (int i = 0; i < CHUNK; i++)
                write_shared(element[step + (i ^ late)][index], __uint_as_float(late ? vector.word[i ^ 2] : vector.word[i]));
        }
    };
    float sums[ROWS_EACH][COLUMNS_EACH];

    __device__ Simt() {
        for (int i = 0; i < ROWS_EACH; i++)
            for (int j = 0; j < COLUMNS_EACH; j++) sums[i][j] = 0.0f;
    }

    __device__ static int top() { return threadIdx.x / ACROSS * ROWS_EACH; }
    __device__ static int left() { return threadIdx.x % ACROSS * 4; }

    template <class A, class B>
    __device__ void multiply(const A& a, const B& b) {
#pragma unroll
        for (int k = 0; k < DEPTH; k++) {
            Vector x[ROWS_EACH / 4], y[COLUMNS_EACH / 4];
#pragma unroll
            for (int i = 0; i < ROWS_EACH / 4; i++) x[i] = read_shared(*(const Vector*)&a.element[k][top() + 4 * i]);
#pragma unroll
            for (int j = 0; j < COLUMNS_EACH / 4; j++) y[j] = read_shared(*(const Vector*)&b.element[k][left() + 4 * ACROSS * j]);
#pragma unroll
            for (int i = 0; i < ROWS_EACH; i++)
#pragma unroll
                for (int j = 0; j < COLUMNS_EACH; j++)
                    sums[i][j] = fmaf(__uint_as_float(x[i / 4].word[i % 4]), __uint_as_float(y[j / 4].word[j % 4]), sums[i][j]);
        }
    }

    template <class Out>
    __device__ void store(int m0, int n0, const Out& out) const {
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
template <int ROWS_, int COLUMNS_, int STAGES_>
struct TensorCores {
    enum {
        ROWS = ROWS_, COLUMNS = COLUMNS_, STAGES = STAGES_, DOWN = COLUMNS_ < 128 ? ROWS_ / 32 : ROWS_ > 128 ? 4 : ROWS_ < 64 ? 1 : 2,
        HIGH = ROWS_ / DOWN / 16, WIDE = COLUMNS_ / (8 / DOWN) / 8
    };

    // A row is four chunks of k, or one k. Chunks change places within a row so that the eight that an
    // instruction writes or reads lie in different banks of shared memory.
    template <int SIDE, bool ALONG_K>
    struct __align__(16) SharedTile {
        enum { CHUNKS = ALONG_K ? 4 : SIDE / CHUNK, TURNED_WORDS = !ALONG_K && sizeof(Element) == 4, PITCH = TURNED_WORDS ? SIDE + 8 : CHUNKS * CHUNK };
        Element element[(ALONG_K ? SIDE : int(DEPTH)) * PITCH];
        __device__ static u32 place(u32 row, u32 chunk) {
            if (!TURNED_WORDS) chunk ^= CHUNKS == 4 ? row / 2 % 4 : row % 8;
            return row * PITCH + chunk * CHUNK;
        }
        __device__ Vector* chunk(u32 index, u32 step) {
            return (Vector*)&element[ALONG_K ? place(index, step / CHUNK) : place(step, index / CHUNK)];
        }
        __device__ void put(u32 index, u32 step, const Vector& vector) { write_shared(*chunk(index, step), vector); }
        // The elements of a tile of sixteen rows from `index` on, for the s-th product of the stage's k: upper and lower rows
        // of its first k, then of its last. `upper_first` is false for two tiles of columns, first and last k of each.
        __device__ void tile(u32 (&to)[4], int index, int s, bool upper_first) const {
            const int lane = threadIdx.x % 32, square = lane / 8, line = lane % 8;
            const int half = upper_first ? square % 2 : square / 2, late = upper_first ? square / 2 : square % 2;
            if (ALONG_K) {
                ldmatrix(to, &element[place(index + half * 8 + line, 2 * s + late)]);
                return;
            }
#if PRODUCTS == 2
            ldmatrix_transposed(to, &element[place(s * 16 + late * 8 + line, index / 8 + half)]);
#else
#pragma unroll
            for (int i = 0; i < 4; i++) {
                const int below = upper_first ? i % 2 : i / 2, after = upper_first ? i / 2 : i % 2;
                to[i] = __float_as_uint(read_shared(element[(s * 8 + after * 4 + lane % 4) * PITCH + index + below * 8 + lane / 4]));
            }
#endif
        }
    };
    float sums[HIGH][WIDE][4];

    __device__ TensorCores() {
        for (int i = 0; i < HIGH; i++)
            for (int j = 0; j < WIDE; j++)
                for (int c = 0; c < 4; c++) sums[i][j][c] = 0.0f;
    }

    // The first row and the first column of the warp.
    __device__ static int top() { return threadIdx.x / 32 % DOWN * (HIGH * 16); }
    __device__ static int left() { return threadIdx.x / 32 / DOWN * (WIDE * 8); }

    // Copies past the registers bring single precision; what was fetched was rounded by `to_elements`.
    __device__ static void round_copied(u32 (&x)[4]) {
#if PRODUCTS == 1
        for (int i = 0; STAGES > 2 && i < 4; i++) x[i] = __float_as_uint(to_tf32(__uint_as_float(x[i])));
#endif
    }

    template <class A, class B>
    __device__ void multiply(const A& a, const B& b) {
#pragma unroll
        for (int s = 0; s < 2; s++) {
            u32 x[HIGH][4], y[WIDE / 2][4];
#pragma unroll
            for (int i = 0; i < HIGH; i++) {
                a.tile(x[i], top() + i * 16, s, true);
                round_copied(x[i]);
            }
#pragma unroll
            for (int j = 0; j < WIDE / 2; j++) {
                b.tile(y[j], left() + j * 16, s, false);
                round_copied(y[j]);
            }
#pragma unroll
            for (int i = 0; i < HIGH; i++)
#pragma unroll
                for (int j = 0; j < WIDE; j++) mma(sums[i][j], x[i], &y[j / 2][j % 2 * 2]);
        }
    }

    template <class Out>
    __device__ void store(int m0, int n0, const Out& out) const {
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
template <int ROWS, int COLUMNS, int STAGES = 2> struct TileOf { typedef TensorCores<ROWS, COLUMNS, STAGES> Tile; };
#else
template <int ROWS, int COLUMNS, int STAGES = 2> struct TileOf { typedef Simt<ROWS, COLUMNS> Tile; };
#endif
