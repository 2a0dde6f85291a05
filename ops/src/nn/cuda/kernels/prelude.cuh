// What all kernels share: how numbers are kept and how they are multiplied.
//
// PRODUCTS says what a product of matrices multiplies: 0 single precision, 1 tf32, 2 bf16; sums
// are always of single precision. With 2, images between layers are also kept as bf16.

typedef unsigned int u32;
typedef unsigned long long u64;

// Sixteen bits of a bf16: the upper half of a float.
struct bf16 {
    unsigned short bits;
};

#if PRODUCTS == 2
typedef bf16 value;
#else
typedef float value;
#endif

__device__ inline float number(float x) { return x; }
__device__ inline float number(bf16 x) { return __uint_as_float(u32(x.bits) << 16); }

__device__ inline void store(float& place, float x) { place = x; }
#if PRODUCTS == 2
// The nearest bf16, ties to even: an instruction that came with tensor cores.
__device__ unsigned short rounded(float x);
// Two of them as a word, the first in its lower half.
__device__ u32 rounded_pair(float x, float y);
__device__ inline void store(bf16& place, float x) { place.bits = rounded(x); }
#endif

// Neighbours in memory of sixteen bytes or fewer, which one instruction moves from or to a multiple of their size.
template <int WORDS>
struct __align__(WORDS * 4) Words {
    u32 word[WORDS];
};

typedef Words<4> Vector;

// How many numbers of an image a run has.
const int VALUES = 16 / sizeof(value);

__device__ inline Vector zero_vector() { return {{0, 0, 0, 0}}; }

// The i-th of these numbers of an image.
template <int WORDS>
__device__ inline float number(const Words<WORDS>& kept, int i) {
#if PRODUCTS == 2
    return __uint_as_float(i % 2 ? kept.word[i / 2] & 0xffff0000u : kept.word[i / 2] << 16);
#else
    return __uint_as_float(kept.word[i]);
#endif
}

// Keeps neighbours of an image at a place that is a multiple of as many numbers.
template <int COUNT>
__device__ inline void store_all(value* place, const float (&x)[COUNT]) {
    typedef Words<int(COUNT * sizeof(value) / 4)> Kept;
    Kept kept;
    for (int i = 0; i < int(COUNT * sizeof(value) / 4); i++) {
#if PRODUCTS == 2
        kept.word[i] = rounded_pair(x[2 * i], x[2 * i + 1]);
#else
        kept.word[i] = __float_as_uint(x[i]);
#endif
    }
    *(Kept*)place = kept;
}

// Reads as many.
template <int COUNT>
__device__ inline void load_all(const value* place, float (&x)[COUNT]) {
    typedef Words<int(COUNT * sizeof(value) / 4)> Kept;
    const Kept kept = *(const Kept*)place;
    for (int i = 0; i < COUNT; i++) x[i] = number(kept, i);
}

// The sum of one number a thread over the block, in the order of a binary tree; every thread gets
// it. `shared` holds as many numbers as the block has threads, which are a power of two.
template <class T>
__device__ T sum_over_block(T x, T* shared) {
    const int thread = threadIdx.x;
    shared[thread] = x;
    __syncthreads();
    for (int half = blockDim.x / 2; half > 0; half /= 2) {
        if (thread < half) shared[thread] += shared[thread + half];
        __syncthreads();
    }
    const T sum = shared[0];
    __syncthreads();
    return sum;
}

// The sums of VALUES numbers a thread over `places` places of a block, in the order of a binary tree, for the threads of
// the first place. A place is `across` neighbouring threads; `shared` holds what each thread adds. Every thread calls it.
template <int COUNT>
__device__ inline void sum_over_places(float (&shared)[VALUES][COUNT], int place, int places, int across) {
    __syncthreads();
    // The upper half of the places goes to the lower one, again and again.
    for (int left = places; left > 1; left = (left + 1) / 2) {
        const int half = (left + 1) / 2;
        if (place + half < left)
            for (int v = 0; v < VALUES; v++) shared[v][threadIdx.x] += shared[v][threadIdx.x + half * across];
        __syncthreads();
    }
}

// A logarithm of a variance within what single precision and sense allow.
__device__ inline float clamped(float log_variance) { return fminf(fmaxf(log_variance, -60.0f), 40.0f); }

// What changes from step to step; a captured graph reads it from memory.
struct Clock {
    u32 step;        // Steps since the start of the training.
    u32 batch;       // Batches since the start of the epoch.
    float beta;      // The weight of the KL term.
    float capacity;  // The nats that the KL term is held near.
    u32 seed[2];     // Low half, high half.
};
