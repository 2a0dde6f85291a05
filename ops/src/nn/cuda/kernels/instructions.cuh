// What tests on the CPU define otherwise: accesses to shared memory, which they count, and the instructions of tensor cores.

// Every access of a product to shared memory but those of `ldmatrix` and of copies goes through these two.
template <class T>
__device__ inline void write_shared(T& place, const T& x) { place = x; }
template <class T>
__device__ inline T read_shared(const T& place) { return place; }

// The instructions of tensor cores are of one warp together. Lane l holds of a 16 x k tile A the rows
// l/4 and l/4 + 8, of a k x 8 tile B the column l/4, of C the columns 2(l%4) and the next.

#if PRODUCTS > 0
// Reads four matrices of eight rows by sixteen bytes from shared memory: lane 8 q + r names row r of matrix q, and gets of
// each matrix the word l%4 of row l/4, which is how tiles lie.
__device__ inline void ldmatrix(u32 (&to)[4], const void* row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
                 : "r"(u32(__cvta_generic_to_shared(row))));
}
#endif

#if PRODUCTS > 0
// Begins to copy a chunk from global to shared memory past the registers; zeros if it is not there.
__device__ inline void copy_async(void* to, const void* from, bool is_there) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(u32(__cvta_generic_to_shared(to))), "l"(from), "r"(is_there ? 16 : 0)
                 : "memory");
}
// Makes a group of the copies that this thread began since the last group.
__device__ inline void end_copies() { asm volatile("cp.async.commit_group;" ::: "memory"); }
// Waits until this thread's copies are there, but for those of its last LATER groups.
template <int LATER>
__device__ inline void wait_for_copies() { asm volatile("cp.async.wait_group %0;" ::"n"(LATER) : "memory"); }
#endif

#if PRODUCTS == 1
__device__ inline float to_tf32(float x) {
    u32 bits;
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(x));
    return __uint_as_float(bits);
}

__device__ inline void mma(float (&c)[4], const u32 (&a)[4], const u32* b) {
    asm volatile(
        "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
#elif PRODUCTS == 2
__device__ inline unsigned short rounded(float x) {
    unsigned short bits;
    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(bits) : "f"(x));
    return bits;
}

__device__ inline u32 rounded_pair(float x, float y) {
    u32 both;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(both) : "f"(y), "f"(x));
    return both;
}

// The same for matrices that lie transposed: rows of shared memory are columns of the tiles.
__device__ inline void ldmatrix_transposed(u32 (&to)[4], const void* row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
                 : "r"(u32(__cvta_generic_to_shared(row))));
}

__device__ inline void mma(float (&c)[4], const u32 (&a)[4], const u32* b) {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
#endif
