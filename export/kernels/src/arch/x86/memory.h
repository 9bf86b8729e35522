// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <immintrin.h>

#include <cstdint>

namespace hqdit {
namespace {

inline __m128i load128(const void* p) { return _mm_loadu_si128(static_cast<const __m128i*>(p)); }
inline __m256i load256(const void* p) { return _mm256_loadu_si256(static_cast<const __m256i*>(p)); }
inline void store256(void* p, __m256i v) { _mm256_storeu_si256(static_cast<__m256i*>(p), v); }

/// Asks for what a loop over codes comes to a page later. Each is read once a step, so most come from memory, and the
/// processor's own prefetching stops at the end of a page.
inline void prefetch_codes(const uint8_t* codes) {
  for (int i = 0; i < 4; ++i) __builtin_prefetch(codes + 4096 + 64 * i);
}

inline void prefetch_ahead(const uint8_t* codes, const uint8_t* ids) {
  prefetch_codes(codes);
  __builtin_prefetch(ids + 512);
}

}  // namespace
}  // namespace hqdit
