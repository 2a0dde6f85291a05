// CUDA's words for a C++ compiler: blocks run one after the other, and the threads of a block as
// fibers that give way at each barrier. Threads and blocks run forwards or backwards, so that two
// runs differ where a barrier is missing or where blocks depend on each other.

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <setjmp.h>
#include <tuple>
#include <ucontext.h>
#include <utility>
#include <vector>

#define __device__
#define __global__
#define __shared__ static
#define __launch_bounds__(...)
#define __align__(n) __attribute__((aligned(n)))

struct Index {
    unsigned x, y, z;
};
static Index threadIdx, blockIdx, blockDim, gridDim;

static inline float __uint_as_float(unsigned bits) {
    float x;
    memcpy(&x, &bits, 4);
    return x;
}
static inline unsigned __float_as_uint(float x) {
    unsigned bits;
    memcpy(&bits, &x, 4);
    return bits;
}

namespace emulator {
const size_t STACK = 1 << 16;

struct Fiber {
    ucontext_t context;
    jmp_buf place;
    char* stack;
    bool started, ended;
};

static std::vector<Fiber> fibers;
static jmp_buf scheduler;
static unsigned now;
static void (*body)();

static void enter() {
    body();
    fibers[now].ended = true;
    _longjmp(scheduler, 1);
}

// Runs a fiber to its next barrier or its end.
__attribute__((noinline)) static void resume(unsigned thread) {
    now = thread;
    threadIdx = {thread, 0, 0};
    Fiber& fiber = fibers[thread];
    if (_setjmp(scheduler)) return;
    if (fiber.started) _longjmp(fiber.place, 1);
    fiber.started = true;
    setcontext(&fiber.context);
}

__attribute__((noinline)) static void barrier() {
    const unsigned thread = now;
    if (_setjmp(fibers[thread].place) == 0) _longjmp(scheduler, 1);
}

// The groups of asynchronous copies that each thread began and has not waited for, the oldest first; the last one grows.
struct Copy {
    void* to;
    const void* from;
};
static std::deque<std::vector<Copy>> groups[1024];

static void finish(const std::vector<Copy>& group) {
    for (const Copy& copy : group) {
        if (copy.from)
            memcpy(copy.to, copy.from, 16);
        else
            memset(copy.to, 0, 16);
    }
}

// Accesses of warps to shared memory: how many, the passes that they take, and the least that they could take.
struct Accesses {
    unsigned long long count, passes, least;
};
struct Access {
    size_t word;
    unsigned words;
};

static bool counts;
static Accesses accesses[2];  // Writes, reads.
static std::vector<Access> made[2][1024];

// Notes that a thread writes (0) or reads (1) this place of shared memory.
static void met(int kind, const void* place, unsigned bytes) {
    if (counts) made[kind][now].push_back({size_t(place) / 4, bytes / 4});
}

// The passes in which a GPU serves lanes at once: the most different words in one of the 32 banks.
static unsigned passes_of(std::vector<size_t>& words) {
    std::sort(words.begin(), words.end());
    words.erase(std::unique(words.begin(), words.end()), words.end());
    unsigned in_bank[32] = {}, most = 0;
    for (size_t word : words) most = std::max(most, ++in_bank[word % 32]);
    return most;
}

// Counts what the threads of a block did. The n-th accesses of the lanes of a warp are one instruction, which serves so
// many lanes at once as make 32 words.
static void count(unsigned threads) {
    for (int kind = 0; kind < 2; kind++) {
        for (unsigned warp = 0; warp < threads; warp += 32) {
            size_t most = 0;
            for (unsigned t = warp; t < warp + 32; t++) most = std::max(most, made[kind][t].size());
            accesses[kind].count += most;
            for (size_t n = 0; n < most; n++) {
                unsigned words_each = 1;
                for (unsigned t = warp; t < warp + 32; t++)
                    if (n < made[kind][t].size()) words_each = made[kind][t][n].words;
                for (unsigned first = warp; first < warp + 32; first += 32 / words_each) {
                    std::vector<size_t> words;
                    for (unsigned t = first; t < first + 32 / words_each; t++)
                        for (unsigned w = 0; n < made[kind][t].size() && w < words_each; w++)
                            words.push_back(made[kind][t][n].word + w);
                    accesses[kind].passes += passes_of(words);
                    accesses[kind].least += !words.empty();
                }
            }
        }
        for (unsigned t = 0; t < threads; t++) made[kind][t].clear();
    }
}

static void block(unsigned threads, bool backwards) {
    while (fibers.size() < threads) {
        fibers.push_back(Fiber());
        fibers.back().stack = (char*)malloc(STACK);
    }
    for (unsigned t = 0; t < threads; t++) {
        Fiber& fiber = fibers[t];
        fiber.started = fiber.ended = false;
        groups[t].assign(1, {});
        getcontext(&fiber.context);
        fiber.context.uc_stack.ss_sp = fiber.stack;
        fiber.context.uc_stack.ss_size = STACK;
        makecontext(&fiber.context, enter, 0);
    }
    for (volatile bool more = true; more;) {
        volatile unsigned ended = 0;
        for (volatile unsigned t = 0; t < threads; t = t + 1) {
            const unsigned thread = backwards ? threads - 1 - t : t;
            resume(thread);
            ended = ended + fibers[backwards ? threads - 1 - t : t].ended;
        }
        if (ended != 0 && ended != threads) {
            fprintf(stderr, "some threads of a block ended at a barrier of the others\n");
            abort();
        }
        more = ended == 0;
    }
    if (counts) count(threads);
}

template <class... A, size_t... I>
static void call(void (*kernel)(A...), void** args, std::index_sequence<I...>) {
    kernel(*(A*)args[I]...);
}

static void* kernel_called;
static void** args_called;

template <class... A>
static void launch(void (*kernel)(A...), unsigned x, unsigned y, unsigned z, unsigned threads, bool backwards, void** args) {
    kernel_called = (void*)kernel;
    args_called = args;
    body = [] { call((void (*)(A...))kernel_called, args_called, std::index_sequence_for<A...>()); };
    gridDim = {x, y, z};
    blockDim = {threads, 1, 1};
    for (unsigned k = 0; k < z; k++)
        for (unsigned j = 0; j < y; j++)
            for (unsigned i = 0; i < x; i++) {
                blockIdx = {backwards ? x - 1 - i : i, backwards ? y - 1 - j : j, backwards ? z - 1 - k : k};
                block(threads, backwards);
            }
}
}  // namespace emulator

static inline void __syncthreads() { emulator::barrier(); }

// Counts the accesses of the next launches to shared memory, or hands out what was counted so far.
extern "C" void emulate_count(bool counts, emulator::Accesses* to) {
    emulator::counts = counts;
    for (int kind = 0; kind < 2; kind++) {
        to[kind] = emulator::accesses[kind];
        emulator::accesses[kind] = {0, 0, 0};
    }
}
