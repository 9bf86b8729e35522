// SPDX-License-Identifier: Apache-2.0
// Sixteen floats in two AVX registers; float_ops/vector_scalar.h says what each function means.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "arch/x86/float_vector_x86.h"

namespace hqdit {
namespace {

// Twelve sums, two operands of the RHS and one of the LHS: fifteen of the sixteen registers.
constexpr int kMr = 6;
constexpr int kNr = 16;

struct F32x16 {
  __m256 low;
  __m256 high;
};

/// All bits in the first `count` of eight lanes.
inline __m256i first(int64_t count) {
  const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(count)), lane);
}

inline F32x16 splat(float value) { return {_mm256_set1_ps(value), _mm256_set1_ps(value)}; }
inline F32x16 load(const float* from) { return {_mm256_loadu_ps(from), _mm256_loadu_ps(from + 8)}; }
inline F32x16 load_first(const float* from, int64_t count) {
  return {_mm256_maskload_ps(from, first(count)), _mm256_maskload_ps(from + 8, first(count - 8))};
}
inline void store(float* to, F32x16 a) {
  _mm256_storeu_ps(to, a.low);
  _mm256_storeu_ps(to + 8, a.high);
}
inline void store_first(float* to, F32x16 a, int64_t count) {
  _mm256_maskstore_ps(to, first(count), a.low);
  _mm256_maskstore_ps(to + 8, first(count - 8), a.high);
}
inline void store_int8(int8_t* to, F32x16 a) {
  const __m256i lanes = _mm256_packs_epi32(_mm256_cvtps_epi32(a.low), _mm256_cvtps_epi32(a.high));
  const __m256i ordered = _mm256_permute4x64_epi64(lanes, 0xD8);
  const __m128i bytes = _mm_packs_epi16(_mm256_castsi256_si128(ordered), _mm256_extracti128_si256(ordered, 1));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to), bytes);
}
inline void store_quads(int8_t* to, const F32x16 (&rows)[4]) {
  const auto store_eight = [&](int half) {
    const auto byte = [&](int j) {
      const __m256i lanes = _mm256_cvtps_epi32(half ? rows[j].high : rows[j].low);
      return _mm256_and_si256(lanes, _mm256_set1_epi32(255));
    };
    const __m256i low = _mm256_or_si256(byte(0), _mm256_slli_epi32(byte(1), 8));
    const __m256i high = _mm256_or_si256(_mm256_slli_epi32(byte(2), 16), _mm256_slli_epi32(byte(3), 24));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + 32 * half), _mm256_or_si256(low, high));
  };
  store_eight(0);
  store_eight(1);
}
inline F32x16 keep_first(F32x16 a, int64_t count, float fill) {
  const __m256 other = _mm256_set1_ps(fill);
  return {_mm256_blendv_ps(other, a.low, _mm256_castsi256_ps(first(count))),
          _mm256_blendv_ps(other, a.high, _mm256_castsi256_ps(first(count - 8)))};
}

inline F32x16 add(F32x16 a, F32x16 b) { return {_mm256_add_ps(a.low, b.low), _mm256_add_ps(a.high, b.high)}; }
inline F32x16 sub(F32x16 a, F32x16 b) { return {_mm256_sub_ps(a.low, b.low), _mm256_sub_ps(a.high, b.high)}; }
inline F32x16 mul(F32x16 a, F32x16 b) { return {_mm256_mul_ps(a.low, b.low), _mm256_mul_ps(a.high, b.high)}; }
inline F32x16 div(F32x16 a, F32x16 b) { return {_mm256_div_ps(a.low, b.low), _mm256_div_ps(a.high, b.high)}; }
inline F32x16 fma(F32x16 a, F32x16 b, F32x16 c) {
  return {_mm256_fmadd_ps(a.low, b.low, c.low), _mm256_fmadd_ps(a.high, b.high, c.high)};
}
inline F32x16 max(F32x16 a, F32x16 b) { return {_mm256_max_ps(a.low, b.low), _mm256_max_ps(a.high, b.high)}; }
inline F32x16 min(F32x16 a, F32x16 b) { return {_mm256_min_ps(a.low, b.low), _mm256_min_ps(a.high, b.high)}; }

inline __m256 to_exponent(__m256 v) { return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_castps_si256(v), 23)); }
inline F32x16 low_bits_to_exponent(F32x16 a) { return {to_exponent(a.low), to_exponent(a.high)}; }

inline float sum(F32x16 a) { return sum_of_eight(_mm256_add_ps(a.low, a.high)); }
inline float largest(F32x16 a) { return largest_of_eight(_mm256_max_ps(a.low, a.high)); }

}  // namespace
}  // namespace hqdit
