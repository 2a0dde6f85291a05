// Accesses to shared memory that are counted, and what the instructions of tensor cores compute, from the lanes of a warp.

template <class T>
static void write_shared(T& place, const T& x) {
    emulator::met(0, &place, sizeof(T));
    place = x;
}
template <class T>
static T read_shared(const T& place) {
    emulator::met(1, &place, sizeof(T));
    return place;
}

static float to_tf32(float x) {
    const u32 bits = __float_as_uint(x);
    return __uint_as_float((bits + 0x1000u) & ~0x1fffu);
}

// A copy is made as late as it may be, when its thread waits for it; until then its place holds NaN of either precision.
static void copy_async(void* to, const void* from, bool is_there) {
    if ((size_t)to % 16 != 0 || (is_there && (size_t)from % 16 != 0)) {
        fprintf(stderr, "a chunk that is copied does not begin at a multiple of sixteen bytes\n");
        abort();
    }
    emulator::met(0, to, 16);
    memset(to, 0xff, 16);
    emulator::groups[emulator::now].back().push_back({to, is_there ? from : nullptr});
}

static void end_copies() { emulator::groups[emulator::now].emplace_back(); }

template <int LATER>
static void wait_for_copies() {
    auto& groups = emulator::groups[emulator::now];
    // The last one is of copies that end no group yet.
    while (groups.size() > LATER + 1) {
        emulator::finish(groups.front());
        groups.pop_front();
    }
}

#if PRODUCTS == 2
// No NaN becomes an infinity.
__device__ unsigned short rounded(float x) {
    const u32 bits = __float_as_uint(x);
    if ((bits & 0x7fffffffu) > 0x7f800000u) return (unsigned short)((bits >> 16) | 64);
    return (unsigned short)((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}
#endif

#if PRODUCTS == 2
__device__ u32 rounded_pair(float x, float y) { return rounded(x) | u32(rounded(y)) << 16; }
#endif

// What the lanes show each other lies in two places by turns: so whoever shows something again knows that all have read
// what was there before, since all have come to the barrier in between.
static unsigned next_place() {
    static unsigned calls[1024];
    return calls[threadIdx.x]++ % 2;
}

// The rows that the lanes of a warp name, once all have done so.
static const void** rows_of_matrices(const void* row) {
    static const void* shown[2][1024];
    const void** rows = shown[next_place()];
    if ((size_t)row % 16 != 0) {
        fprintf(stderr, "a row of a matrix does not begin at a multiple of sixteen bytes\n");
        abort();
    }
    emulator::met(1, row, 16);
    rows[threadIdx.x] = row;
    __syncthreads();
    return rows + threadIdx.x / 32 * 32;
}

static void ldmatrix(u32 (&to)[4], const void* row) {
    const void** rows = rows_of_matrices(row);
    const unsigned lane = threadIdx.x % 32;
    for (int matrix = 0; matrix < 4; matrix++)
        memcpy(&to[matrix], (const char*)rows[matrix * 8 + lane / 4] + lane % 4 * 4, 4);
}

static void ldmatrix_transposed(u32 (&to)[4], const void* row) {
    const void** rows = rows_of_matrices(row);
    const unsigned lane = threadIdx.x % 32;
    for (int matrix = 0; matrix < 4; matrix++)
        for (int half = 0; half < 2; half++)
            memcpy((char*)&to[matrix] + 2 * half, (const char*)rows[matrix * 8 + lane % 4 * 2 + half] + lane / 4 * 2, 2);
}

static void mma(float (&c)[4], const u32 (&a)[4], const u32* b) {
    static u32 lefts[2][1024][4], rights[2][1024][2];
    const unsigned place = next_place();
    u32(*left)[4] = lefts[place];
    u32(*right)[2] = rights[place];
    const unsigned thread = threadIdx.x, warp = thread / 32 * 32, lane = thread % 32;
    memcpy(left[thread], a, sizeof a);
    memcpy(right[thread], b, sizeof right[thread]);
    __syncthreads();
    for (int i = 0; i < 4; i++) {
        const int row = lane / 4 + i / 2 * 8, column = lane % 4 * 2 + i % 2;
#if PRODUCTS == 1
        for (int k = 0; k < 8; k++) {
            const u32 x = left[warp + row % 8 * 4 + k % 4][row / 8 + k / 4 * 2];
            const u32 y = right[warp + column * 4 + k % 4][k / 4];
            c[i] += __uint_as_float(x) * __uint_as_float(y);
        }
#else
        for (int k = 0; k < 16; k++) {
            const u32 x = left[warp + row % 8 * 4 + k % 8 / 2][row / 8 + k / 8 * 2] >> (k % 2 * 16);
            const u32 y = right[warp + column * 4 + k % 8 / 2][k / 8] >> (k % 2 * 16);
            c[i] += __uint_as_float(x << 16) * __uint_as_float(y << 16);
        }
#endif
    }
}
