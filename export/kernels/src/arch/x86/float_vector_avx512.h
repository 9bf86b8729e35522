// SPDX-License-Identifier: Apache-2.0
// Sixteen floats in one AVX-512 register; float_ops/vector_scalar.h says what each function means.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "arch/x86/float_vector_x86.h"

namespace hqdit {
namespace {

constexpr int kMr = 4;
constexpr int kNr = 80;

struct F32x16 {
  __m512 v;
};

inline __mmask16 first(int64_t count) { return static_cast<__mmask16>((1u << count) - 1u); }

inline F32x16 splat(float value) { return {_mm512_set1_ps(value)}; }
inline F32x16 load(const float* from) { return {_mm512_loadu_ps(from)}; }
inline F32x16 load_first(const float* from, int64_t count) { return {_mm512_maskz_loadu_ps(first(count), from)}; }
inline void store(float* to, F32x16 a) { _mm512_storeu_ps(to, a.v); }
inline void store_first(float* to, F32x16 a, int64_t count) { _mm512_mask_storeu_ps(to, first(count), a.v); }
inline void store_int8(int8_t* to, F32x16 a) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(a.v)));
}
inline void store_quads(int8_t* to, const F32x16 (&rows)[4]) {
  const auto byte = [&](int j) { return _mm512_and_si512(_mm512_cvtps_epi32(rows[j].v), _mm512_set1_epi32(255)); };
  const __m512i low = _mm512_or_si512(byte(0), _mm512_slli_epi32(byte(1), 8));
  const __m512i high = _mm512_or_si512(_mm512_slli_epi32(byte(2), 16), _mm512_slli_epi32(byte(3), 24));
  _mm512_storeu_si512(to, _mm512_or_si512(low, high));
}
inline F32x16 keep_first(F32x16 a, int64_t count, float fill) {
  return {_mm512_mask_mov_ps(_mm512_set1_ps(fill), first(count), a.v)};
}

inline F32x16 add(F32x16 a, F32x16 b) { return {_mm512_add_ps(a.v, b.v)}; }
inline F32x16 sub(F32x16 a, F32x16 b) { return {_mm512_sub_ps(a.v, b.v)}; }
inline F32x16 mul(F32x16 a, F32x16 b) { return {_mm512_mul_ps(a.v, b.v)}; }
inline F32x16 div(F32x16 a, F32x16 b) { return {_mm512_div_ps(a.v, b.v)}; }
inline F32x16 fma(F32x16 a, F32x16 b, F32x16 c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }
inline F32x16 max(F32x16 a, F32x16 b) { return {_mm512_max_ps(a.v, b.v)}; }
inline F32x16 min(F32x16 a, F32x16 b) { return {_mm512_min_ps(a.v, b.v)}; }
inline F32x16 low_bits_to_exponent(F32x16 a) {
  return {_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_castps_si512(a.v), 23))};
}

inline __m256 upper(__m512 v) { return _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(v), 1)); }

inline float sum(F32x16 a) { return sum_of_eight(_mm256_add_ps(_mm512_castps512_ps256(a.v), upper(a.v))); }
inline float largest(F32x16 a) { return largest_of_eight(_mm256_max_ps(_mm512_castps512_ps256(a.v), upper(a.v))); }

}  // namespace
}  // namespace hqdit
