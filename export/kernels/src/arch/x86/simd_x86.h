// SPDX-License-Identifier: Apache-2.0
// The 16-lane int16 half of V for both x86 backends (see tokens.h, fp4_groups.h), in AVX2.
#pragma once

#include <immintrin.h>

#include <cstdint>

namespace hqdit {
namespace {

struct Int16Reciprocals {
  int16_t value[19];
};

/// ceil(scale / r), as the bits of a uint16.
constexpr Int16Reciprocals make_reciprocals(int scale) {
  Int16Reciprocals table{};
  for (int r = 1; r <= 18; ++r) table.value[r] = static_cast<int16_t>((scale + r - 1) / r);
  return table;
}

struct X86Int16 {
  using Int16 = __m256i;
  using Squares = __m256i;
  static constexpr Int16Reciprocals kTable = make_reciprocals(32768);
  static constexpr const int16_t* kReciprocal = kTable.value;

  static Int16 zero16() { return _mm256_setzero_si256(); }
  static Int16 set1_16(int16_t value) { return _mm256_set1_epi16(value); }
  static Int16 load16(const int16_t* p) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)); }
  static void store16(int16_t* p, Int16 v) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), v); }
  static Int16 abs16(Int16 v) { return _mm256_abs_epi16(v); }
  static Int16 max16(Int16 a, Int16 b) { return _mm256_max_epi16(a, b); }
  static Int16 subtract(Int16 a, Int16 b) { return _mm256_sub_epi16(a, b); }
  static Int16 multiply(Int16 a, Int16 b) { return _mm256_mullo_epi16(a, b); }
  static Int16 times16(Int16 v) { return _mm256_slli_epi16(v, 4); }
  static Int16 copy_sign(Int16 v, Int16 sign) { return _mm256_sign_epi16(v, sign); }
  static Int16 select(bool first, Int16 a, Int16 b) {
    return _mm256_blendv_epi8(b, a, _mm256_set1_epi16(static_cast<int16_t>(-static_cast<int>(first))));
  }

  /// |t| / 4, and from it floor(|t| / 8r): x ceil(32768 / r) / 65536 is off by less than 1 / 2r for x <= 480, r <= 18.
  static Int16 quarter(Int16 magnitude) { return _mm256_srli_epi16(magnitude, 2); }
  static Int16 divide(Int16 quarter, Int16 reciprocal) { return _mm256_mulhi_epu16(quarter, reciprocal); }

  /// E1M2: (steps + 1) / 2, at most 7.
  static Int16 e1m2_grid(Int16 steps) {
    return _mm256_min_epi16(_mm256_avg_epu16(steps, _mm256_setzero_si256()), _mm256_set1_epi16(7));
  }
  /// E2M1: a table for 0..15 steps (of which the high byte of each lane reads entry 0, zero), and 12 from 20 on.
  static Int16 e2m1_grid(Int16 steps) {
    const __m256i table = _mm256_setr_epi8(0, 1, 1, 2, 2, 3, 3, 4, 4, 4, 6, 6, 6, 6, 8, 8,  //
                                           0, 1, 1, 2, 2, 3, 3, 4, 4, 4, 6, 6, 6, 6, 8, 8);
    const __m256i low = _mm256_shuffle_epi8(table, _mm256_min_epi16(steps, _mm256_set1_epi16(15)));
    const __m256i top = _mm256_cmpgt_epi16(steps, _mm256_set1_epi16(19));
    return _mm256_max_epi16(low, _mm256_and_si256(top, _mm256_set1_epi16(12)));
  }

  // Eight pairs, one per 32-bit lane: fp4_small_groups.h.
  using PairSums = __m256i;
  static PairSums no_pair_sums() { return _mm256_setzero_si256(); }
  static PairSums add_pair_squares(PairSums sum, Int16 v) { return add_squares(sum, v); }
  static Int16 less(PairSums a, PairSums b) { return _mm256_cmpgt_epi32(b, a); }
  static PairSums smaller(PairSums a, PairSums b) { return _mm256_min_epi32(a, b); }
  static Int16 blend(Int16 mask, Int16 a, Int16 b) { return _mm256_blendv_epi8(b, a, mask); }
  static Int16 max_of_pair(Int16 v) {
    return _mm256_max_epi16(v, _mm256_or_si256(_mm256_slli_epi32(v, 16), _mm256_srli_epi32(v, 16)));
  }
  /// max(1, ceil(g / 192)) and max(1, ceil(g / 112)); x * ceil(2^22 / d) / 2^22 is exact for x < 2^11 + 112.
  static void smallest_multipliers(Int16 g, Int16& r1, Int16& r2) {
    const __m256i one = _mm256_set1_epi16(1);
    const __m256i x1 = _mm256_add_epi16(g, _mm256_set1_epi16(191));
    const __m256i x2 = _mm256_add_epi16(g, _mm256_set1_epi16(111));
    r1 = _mm256_max_epi16(one, _mm256_srli_epi16(_mm256_mulhi_epu16(x1, _mm256_set1_epi16(21846)), 6));
    const __m256i reciprocal = _mm256_set1_epi16(static_cast<int16_t>(37450));
    r2 = _mm256_max_epi16(one, _mm256_srli_epi16(_mm256_mulhi_epu16(x2, reciprocal), 6));
  }
  /// ceil(32768 / r) of r that are equal within a pair: a float quotient is never so wrong as to reach an integer.
  static Int16 reciprocals(Int16 r) {
    const __m256 divisor = _mm256_cvtepi32_ps(_mm256_and_si256(r, _mm256_set1_epi32(0xFFFF)));
    const __m256i m = _mm256_cvttps_epi32(_mm256_ceil_ps(_mm256_div_ps(_mm256_set1_ps(32768.0f), divisor)));
    return _mm256_or_si256(m, _mm256_slli_epi32(m, 16));
  }
  /// The 8 x 8 matrix of 32-bit elements transposed.
  static void transpose_pairs(Int16 v[8]) {
    __m256i pairs[8];
    for (int i = 0; i < 8; i += 2) {
      pairs[i] = _mm256_unpacklo_epi32(v[i], v[i + 1]);
      pairs[i + 1] = _mm256_unpackhi_epi32(v[i], v[i + 1]);
    }
    __m256i quads[8];
    for (int i = 0; i < 8; i += 4) {
      quads[i] = _mm256_unpacklo_epi64(pairs[i], pairs[i + 2]);
      quads[i + 1] = _mm256_unpackhi_epi64(pairs[i], pairs[i + 2]);
      quads[i + 2] = _mm256_unpacklo_epi64(pairs[i + 1], pairs[i + 3]);
      quads[i + 3] = _mm256_unpackhi_epi64(pairs[i + 1], pairs[i + 3]);
    }
    for (int i = 0; i < 4; ++i) {
      v[i] = _mm256_permute2x128_si256(quads[i], quads[i + 4], 0x20);
      v[i + 4] = _mm256_permute2x128_si256(quads[i], quads[i + 4], 0x31);
    }
  }

  static Squares no_squares() { return _mm256_setzero_si256(); }
  static Squares add_squares(Squares sum, Int16 v) { return _mm256_add_epi32(sum, _mm256_madd_epi16(v, v)); }
  static void add_sums(const Squares squares[4], uint64_t error[4]) {
    const __m256i ab = _mm256_hadd_epi32(squares[0], squares[1]);
    const __m256i cd = _mm256_hadd_epi32(squares[2], squares[3]);
    const __m256i abcd = _mm256_hadd_epi32(ab, cd);
    const __m128i sum = _mm_add_epi32(_mm256_castsi256_si128(abcd), _mm256_extracti128_si256(abcd, 1));
    error[0] += static_cast<uint32_t>(_mm_extract_epi32(sum, 0));
    error[1] += static_cast<uint32_t>(_mm_extract_epi32(sum, 1));
    error[2] += static_cast<uint32_t>(_mm_extract_epi32(sum, 2));
    error[3] += static_cast<uint32_t>(_mm_extract_epi32(sum, 3));
  }
  static int reduce_max(Int16 v) {
    // The instruction finds a minimum, so look for that of 32767 - v.
    const __m128i half = _mm_max_epi16(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    const __m128i flipped = _mm_sub_epi16(_mm_set1_epi16(32767), half);
    return 32767 - _mm_extract_epi16(_mm_minpos_epu16(flipped), 0);
  }
};

}  // namespace
}  // namespace hqdit
