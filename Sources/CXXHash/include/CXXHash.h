// The inlined form of Debian's libxxhash-dev: no run-time library, and the compiler sees through every call.
#ifndef GYRE_CXXHASH_H
#define GYRE_CXXHASH_H

#include <stddef.h>
#include <stdint.h>

/// XXH3, 64 bits, of `length` bytes at `bytes` (which may be null when `length` is 0), with `seed`.
uint64_t gyre_xxh3_64(const void *bytes, size_t length, uint64_t seed);

#endif
