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

__device__ inline void keep(float& place, float x) { place = x; }
#if PRODUCTS == 2
// The nearest bf16, ties to even: an instruction that came with tensor cores.
__device__ unsigned short rounded(float x);
__device__ inline void keep(bf16& place, float x) { place.bits = rounded(x); }
#endif

// The sum of one number a thread over the block, in the order of a binary tree; every thread gets
// it. `room` holds as many numbers as the block has threads, which are a power of two.
template <class T>
__device__ T sum_over_block(T x, T* room) {
    const int thread = threadIdx.x;
    room[thread] = x;
    __syncthreads();
    for (int half = blockDim.x / 2; half > 0; half /= 2) {
        if (thread < half) room[thread] += room[thread + half];
        __syncthreads();
    }
    const T sum = room[0];
    __syncthreads();
    return sum;
}

// A logarithm of a variance within what single precision and sense allow.
__device__ inline float held(float log_variance) { return fminf(fmaxf(log_variance, -60.0f), 40.0f); }

// What changes from step to step; a captured graph reads it from memory.
struct Clock {
    u32 step;        // Steps since the start of the training.
    u32 batch;       // Batches since the start of the epoch.
    float beta;      // The weight of the KL term.
    float capacity;  // The nats that the KL term is held near.
    u32 seed[2];     // Low half, high half.
};
