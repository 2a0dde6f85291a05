// C(m, n) = sum over k of A(m, k) B(k, n): the main loop that all products of matrices share.
//
// A block of 256 threads makes a tile of ROWS x COLUMNS of C, one stage of DEPTH k at a time: it brings later stages of both
// factors into shared memory while it multiplies one. The sum over k is taken in order, so the same factors give the same
// bits, whatever the tile and the number of stages.

// What a thread moves of a factor, of SIDE rows or columns a tile, from global to shared memory.
template <class Tile, int SIDE, class Factor>
struct Loader {
    typedef ThreadMap<SIDE, Factor::ALONG_K> Map;
    typedef typename Tile::template SharedTile<SIDE, Factor::ALONG_K> Shared;
    const Factor& factor;
    const Map map;
    typename Factor::Line lines[Map::LINES];
    typename Factor::Fetched fetched[Map::EACH];

    __device__ Loader(const Factor& factor, int first) : factor(factor) {
#pragma unroll
        for (int i = 0; i < Map::LINES; i++) lines[i] = factor.line(first + map.index(i));
    }
    __device__ const typename Factor::Line& line(int i) const { return lines[Factor::ALONG_K ? i : 0]; }
    // Asks for the chunks of the stage from k on, in registers.
    __device__ void fetch(int k, int end) {
#pragma unroll
        for (int i = 0; i < Map::EACH; i++)
            if (map.any()) factor.fetch(fetched[i], line(i), k + map.step(i), end);
    }
    // Writes what was fetched.
    __device__ void write(Shared& to) const {
#pragma unroll
        for (int i = 0; i < Map::EACH; i++)
            if (map.any()) to.put(map.index(i), map.step(i), to_elements(fetched[i]));
    }
#if PRODUCTS > 0
    // Begins to copy the chunks of the stage from k on past the registers.
    __device__ void copy(Shared& to, int k, int end) const {
#pragma unroll
        for (int i = 0; i < Map::EACH; i++) {
            if (!map.any()) continue;
            const Source from = factor.find(line(i), k + map.step(i), end);
            copy_async(to.chunk(map.index(i), map.step(i)), from.at, from.is_there);
        }
    }
#endif
};

// Two stages: the next one is in registers while this one is multiplied.
template <class Tile, class A, class B, class Left, class Right>
__device__ void multiply_fetched(Tile& tile, int first, int end, A& a, B& b, Left* lefts, Right* rights) {
    int turn = 0;
    // The first turn only fetches: written before the loop, that would need more registers.
    for (int k = first - DEPTH; k < end; k += DEPTH) {
        Left& left = lefts[turn];
        Right& right = rights[turn];
        turn = 1 - turn;
        if (k >= first) {
            a.write(left);
            b.write(right);
            __syncthreads();
        }
        const int next = k + DEPTH;
        if (next < end) {
            a.fetch(next, end);
            b.fetch(next, end);
        }
        if (k >= first) tile.multiply(left, right);
    }
}

#if PRODUCTS > 0
// More stages: all but one are on their way while this one is multiplied.
template <class Tile, class A, class B, class Left, class Right>
__device__ void multiply_copied(Tile& tile, int first, int end, const A& a, const B& b, Left* lefts, Right* rights) {
    enum { AHEAD = Tile::STAGES - 1 };
    int stage = 0;
    // One group of copies a stage, also where no stage is left: so the number of later groups is the same at each turn.
    for (int k = first - AHEAD * DEPTH; k < end; k += DEPTH) {
        if (k >= first) {
            wait_for_copies<AHEAD - 1>();
            // All threads' copies of this stage are there, and nobody reads the one that is overwritten next.
            __syncthreads();
        }
        const int next = k + AHEAD * DEPTH, to = (stage + AHEAD) % Tile::STAGES;
        if (next < end) {
            a.copy(lefts[to], next, end);
            b.copy(rights[to], next, end);
        }
        end_copies();
        if (k >= first) tile.multiply(lefts[stage], rights[stage]);
        stage = (stage + 1) % Tile::STAGES;
    }
}
#endif

// The tile of rows `blockIdx.x` and columns `blockIdx.y` of the product over k from `first` up to `end`.
template <class Tile, class A, class B, class Out>
__device__ void product(int first, int end, const A& a, const B& b, const Out& out) {
    typedef Loader<Tile, Tile::ROWS, A> Down;
    typedef Loader<Tile, Tile::COLUMNS, B> Along;
    __shared__ typename Down::Shared lefts[Tile::STAGES];
    __shared__ typename Along::Shared rights[Tile::STAGES];
    const int m0 = blockIdx.x * Tile::ROWS, n0 = blockIdx.y * Tile::COLUMNS;
    Down down(a, m0);
    Along along(b, n0);
    Tile tile;
#if PRODUCTS > 0
    if constexpr (Tile::STAGES > 2)
        multiply_copied(tile, first, end, down, along, lefts, rights);
    else
#endif
        multiply_fetched(tile, first, end, down, along, lefts, rights);
    tile.store(m0, n0, out);
}
