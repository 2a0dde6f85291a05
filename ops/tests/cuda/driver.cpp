// The few calls of the CUDA driver by which memory is reserved and freed, on the CPU. Whatever a real driver would refuse, or
// would do to another GPU, counts as a mistake.

#include <cstdint>
#include <cstdlib>
#include <map>
#include <mutex>
#include <vector>

enum { OK = 0, INVALID = 1, OUT_OF_MEMORY = 2, INVALID_CONTEXT = 201 };
static const uintptr_t LARGEST = 1 << 20;

static std::mutex lock;
static int retained[2], mistakes;
static std::map<void*, uintptr_t> pieces;  // With the context of each.
static thread_local std::vector<uintptr_t> current;

static int mistake(int error) {
    mistakes++;
    return error;
}
static int device_of(uintptr_t context) { return int(context) - 100; }
static bool is_alive(uintptr_t context) { return retained[device_of(context)] > 0; }

extern "C" {
int cuDevicePrimaryCtxRetain(uintptr_t* context, int device) {
    std::lock_guard<std::mutex> guard(lock);
    retained[device]++;
    *context = 100 + device;
    return OK;
}
int cuDevicePrimaryCtxRelease_v2(int device) {
    std::lock_guard<std::mutex> guard(lock);
    return retained[device]-- > 0 ? OK : mistake(INVALID);
}
int cuCtxPushCurrent_v2(uintptr_t context) {
    std::lock_guard<std::mutex> guard(lock);
    current.push_back(context);
    return is_alive(context) ? OK : mistake(INVALID_CONTEXT);
}
int cuCtxPopCurrent_v2(uintptr_t* context) {
    std::lock_guard<std::mutex> guard(lock);
    if (current.empty()) return mistake(INVALID_CONTEXT);
    *context = current.back();
    current.pop_back();
    return OK;
}
int cuMemAlloc_v2(void** at, size_t bytes) {
    std::lock_guard<std::mutex> guard(lock);
    if (current.empty() || !is_alive(current.back())) return mistake(INVALID_CONTEXT);
    if (bytes == 0) return mistake(INVALID);
    if (bytes > LARGEST) return OUT_OF_MEMORY;
    *at = malloc(bytes);
    pieces[*at] = current.back();
    return OK;
}
int cuMemFree_v2(void* at) {
    std::lock_guard<std::mutex> guard(lock);
    const auto piece = pieces.find(at);
    if (piece == pieces.end()) return mistake(INVALID);
    if (current.empty() || current.back() != piece->second || !is_alive(piece->second)) return mistake(INVALID_CONTEXT);
    pieces.erase(piece);
    free(at);
    return OK;
}
int cuGetErrorName(int error, const char** name) {
    *name = error == OUT_OF_MEMORY ? "CUDA_ERROR_OUT_OF_MEMORY" : "CUDA_ERROR";
    return OK;
}
int cuGetErrorString(int, const char** words) {
    *words = "no words";
    return OK;
}
// The counts of contexts that are retained on both devices, of pieces, of mistakes, and of contexts that the thread has put aside.
void state(int* counts) {
    std::lock_guard<std::mutex> guard(lock);
    const int all[] = {retained[0], retained[1], int(pieces.size()), mistakes, int(current.size())};
    for (int i = 0; i < 5; i++) counts[i] = all[i];
}
}
