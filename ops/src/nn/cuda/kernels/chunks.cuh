// How the factors of products are moved from global to shared memory: in chunks of sixteen bytes of shared memory.
//
// The numbers of a chunk are neighbours in global memory along k, or along m or n: ALONG_K says which. line(i) of a factor
// works out once what all chunks of row or column i share, or of the CHUNK of them from i on. A chunk is the CHUNK of k from
// k on, or one k: find(line, k, end) says where it lies, and fetch(to, line, k, end) loads it into registers, also where it is
// not sixteen bytes in one place. What lies outside of the matrix is 0. A fetch does nothing else with numbers that come from
// memory: the first who looks at them waits for them, and that is `to_elements` after the product.

const int THREADS = 256;
// Blocks that a processor must have registers for: while one waits for memory, the other multiplies.
const int BLOCKS = 2;

#if PRODUCTS == 2
typedef unsigned short Element;
#else
typedef float Element;
#endif
// Numbers of a chunk, and k of a stage: four chunks.
const int CHUNK = 16 / sizeof(Element), DEPTH = 4 * CHUNK;

// Where a chunk lies in global memory. What is not there is zeros, and nobody may look at `at`.
struct Source {
    const void* at;
    bool is_there;
};

// A chunk as it comes from memory, of single precision or of an image.
template <class T>
struct Chunk {
    enum { VECTORS = CHUNK * sizeof(T) / 16 };
    Vector vector[VECTORS];

    __device__ void clear() {
        for (int i = 0; i < VECTORS; i++) vector[i] = zero_vector();
    }
    __device__ void load(const Source& from) {
        if (from.is_there)
            for (int i = 0; i < VECTORS; i++) vector[i] = ((const Vector*)from.at)[i];
    }
    // For matrices whose rows do not consist of chunks.
    __device__ void set(int i, T x) {
        const u32 bits = sizeof(T) == 2 ? *(const unsigned short*)&x : *(const u32*)&x;
        const int each = 4 / sizeof(T), shift = i % each * 16;
        u32& word = vector[i / each / 4].word[i / each % 4];
        word = each == 1 ? bits : (word & ~(0xffffu << shift)) | bits << shift;
    }
};

// The elements of a chunk.
__device__ inline Vector to_elements(const Chunk<float>& x) {
#if PRODUCTS == 2
    Vector vector;
    for (int i = 0; i < 4; i++)
        vector.word[i] = rounded_pair(__uint_as_float(x.vector[i / 2].word[i % 2 * 2]), __uint_as_float(x.vector[i / 2].word[i % 2 * 2 + 1]));
    return vector;
#elif PRODUCTS == 1
    Vector vector;
    for (int i = 0; i < 4; i++) vector.word[i] = __float_as_uint(to_tf32(__uint_as_float(x.vector[0].word[i])));
    return vector;
#else
    return x.vector[0];
#endif
}
#if PRODUCTS == 2
__device__ inline Vector to_elements(const Chunk<bf16>& x) { return x.vector[0]; }
#endif

// Which chunks of a stage of a factor a thread moves: a quarter of the k for some rows, or some k of CHUNK rows.
template <int SIDE, bool ALONG_K>
struct ThreadMap {
    enum {
        CHUNKS = ALONG_K ? 4 : SIDE / CHUNK, STRIDE = THREADS / CHUNKS,
        EACH = SIDE * 4 < THREADS ? 1 : SIDE * 4 / THREADS, LINES = ALONG_K ? EACH : 1
    };
    u32 chunk, first;
    __device__ ThreadMap() : chunk(threadIdx.x % CHUNKS), first(threadIdx.x / CHUNKS) {}
    // Of a narrow side some threads have nothing.
    __device__ bool any() const { return SIDE * 4 >= THREADS || threadIdx.x < SIDE * 4; }
    __device__ u32 index(int i) const { return ALONG_K ? first + i * STRIDE : chunk * CHUNK; }
    __device__ u32 step(int i) const { return ALONG_K ? chunk * CHUNK : first + i * STRIDE; }
};

// A matrix whose rows, or columns if they are not along k, lie one after the other.
template <class T, bool ALONG_K_>
struct Matrix {
    enum { ALONG_K = ALONG_K_ };
    typedef Chunk<T> Fetched;
    const T* at;
    int side, inner;
    bool chunks;  // Whether rows in memory consist of chunks.
    struct Line {
        int index;
    };
    __device__ Line line(int index) const { return {index}; }
    __device__ Source find(const Line& line, int k, int end) const {
        const bool is_there = line.index < side && k < end;
        return {at + (ALONG_K ? (long long)line.index * inner + k : (long long)k * side + line.index), is_there};
    }
    __device__ void fetch(Fetched& to, const Line& line, int k, int end) const {
        to.clear();
        const Source from = find(line, k, end);
        if (chunks) {
            to.load(from);
            return;
        }
        const int left = ALONG_K ? end - k : side - line.index;
        for (int i = 0; i < CHUNK; i++)
            if (from.is_there && i < left) to.set(i, ((const T*)from.at)[i]);
    }
};
