#include "CXXHash.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

uint64_t gyre_xxh3_64(const void *bytes, size_t length, uint64_t seed) {
    return XXH3_64bits_withSeed(bytes, length, seed);
}
