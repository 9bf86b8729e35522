// SPDX-License-Identifier: Apache-2.0
// FP4 weights in two levels for processors that multiply bytes into 16 bits: small grid values, of which VPMADDUBSW
// may add those of 16 inputs without saturation, and a multiplier for their sum. 255 * 15 * 2 * 4 = 30,600 < 2^15.
#pragma once

#include <immintrin.h>

#include "gemm/backend.h"
#include "gemm/lattice.h"
#include "gemm/unroll.h"

namespace hqdit {
namespace {

// Grids of E2M1 and E1M2, whose multipliers the table ids count from here.
constexpr int kFirstE1m2 = kE2m1Multipliers;
constexpr int kLastTwoLevel = kE2m1Multipliers + kE1m2Multipliers - 1;

inline __m128i load128(const void* p) { return _mm_loadu_si128(static_cast<const __m128i*>(p)); }
inline __m256i load256(const void* p) { return _mm256_loadu_si256(static_cast<const __m256i*>(p)); }
inline void store256(void* p, __m256i v) { _mm256_storeu_si256(static_cast<__m256i*>(p), v); }

/// A register holds 4 inputs of 8 channels in this order, which costs no exchange of lanes.
inline __m256i channel_order() { return _mm256_setr_epi32(0, 2, 4, 6, 1, 3, 5, 7); }
inline __m256i in_order(__m256i v) { return _mm256_permutevar8x32_epi32(v, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7)); }

/// In each lane, the 4 x 4 matrix of 32-bit elements transposed: out[j] element i = in[i] element j.
inline void transpose_in_lanes(const __m256i in[4], __m256i out[4]) {
  const __m256i ab_low = _mm256_unpacklo_epi32(in[0], in[1]);
  const __m256i ab_high = _mm256_unpackhi_epi32(in[0], in[1]);
  const __m256i cd_low = _mm256_unpacklo_epi32(in[2], in[3]);
  const __m256i cd_high = _mm256_unpackhi_epi32(in[2], in[3]);
  out[0] = _mm256_unpacklo_epi64(ab_low, cd_low);
  out[1] = _mm256_unpackhi_epi64(ab_low, cd_low);
  out[2] = _mm256_unpacklo_epi64(ab_high, cd_high);
  out[3] = _mm256_unpackhi_epi64(ab_high, cd_high);
}

/// What the table ids of 16 channels say, 8 channels a register.
struct ChannelTables {
  __m256i multiplier[2];  ///< int16, twice a channel
  __m256i format[2];      ///< 8 in the bytes of E1M2

  explicit ChannelTables(const uint8_t* ids) {
    const __m128i order = _mm_setr_epi8(0, 2, 4, 6, 1, 3, 5, 7, 8, 10, 12, 14, 9, 11, 13, 15);
    const __m128i ordered = _mm_shuffle_epi8(load128(ids), order);
    const __m256i id[2] = {_mm256_cvtepu8_epi32(ordered), _mm256_cvtepu8_epi32(_mm_srli_si128(ordered, 8))};
    unroll<2>([&](int i) {
      const __m256i e1m2 = _mm256_cmpgt_epi32(id[i], _mm256_set1_epi32(kFirstE1m2 - 1));
      const __m256i before = _mm256_and_si256(e1m2, _mm256_set1_epi32(kFirstE1m2));
      const __m256i once = _mm256_add_epi32(_mm256_sub_epi32(id[i], before), _mm256_set1_epi32(1));
      multiplier[i] = _mm256_or_si256(once, _mm256_slli_epi32(once, 16));
      format[i] = _mm256_and_si256(e1m2, _mm256_set1_epi8(8));
    });
  }
};

/// Whether all ids of a block have such a grid: E3M0's values go to 64.
inline bool all_two_level(const uint8_t* ids, int64_t groups) {
  __m128i most = _mm_setzero_si128();
  for (int64_t g = 0; g < groups; ++g) most = _mm_max_epu8(most, load128(ids + 16 * g));
  const __m128i above = _mm_subs_epu8(most, _mm_set1_epi8(kLastTwoLevel));
  return _mm_testz_si128(above, above) != 0;
}

/// Takes int8 [4 inputs / 4][2][8 channels][4 inputs] apart: weight = 16 high + low, 0 <= low < 16, for any weight.
template <class Use>
void use_split(const __m256i quads[4][2], int64_t k, Use& use) {
  const __m256i sixteen[2] = {_mm256_set1_epi16(16), _mm256_set1_epi16(16)};
  const __m256i one[2] = {_mm256_set1_epi16(1), _mm256_set1_epi16(1)};
  const __m256i low_bits = _mm256_set1_epi8(15);
  for (int j = 0; j < 4; ++j) {
    for (int i = 0; i < 2; ++i) {
      const __m256i raised = _mm256_xor_si256(quads[j][i], _mm256_set1_epi8(-128));
      const __m256i above = _mm256_and_si256(_mm256_srli_epi16(raised, 4), low_bits);
      const __m256i high = _mm256_sub_epi8(above, _mm256_set1_epi8(8));
      use.quad(k, j, i, _mm256_abs_epi8(high), high);
    }
  }
  use.end(sixteen);
  for (int j = 0; j < 4; ++j) {
    for (int i = 0; i < 2; ++i) use.quad(k, j, i, _mm256_and_si256(quads[j][i], low_bits), _mm256_set1_epi8(1));
  }
  use.end(one);
}

/// Goes along the weights of one block, whose grids are all small: for each 16 inputs from k on calls
/// use.quad(k, j, i, magnitude, sign) for inputs k + 4 j .. k + 4 j + 3 of channels 8 i .. 8 i + 7, then
/// use.end(multipliers). A grid value is its magnitude with the sign of `sign`.
template <class Use>
void each_two_level(const Fp4Weight& weight, int64_t block, Use& use) {
  const int64_t k_padded = padded_inputs(weight.k);
  const int64_t groups = groups_per_row(weight.k, weight.group);
  const uint8_t* codes = weight.codes + block * k_padded * 8;
  const uint8_t* ids = weight.tables + block * groups * 16;
  const __m256i grids = _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 1, 2, 3, 4, 6, 8, 12, 0, 1, 2, 3, 4, 5, 6, 7));
  const __m256i index_bits = _mm256_set1_epi8(7);
  int64_t next_group = weight.group;
  ChannelTables tables(ids);
  int64_t k = 0;
  while (k < k_padded) {
    __m256i rows[8];
    __m256i pairs[8];
    for (int i = 0; i < 8; ++i) rows[i] = load256(codes + 32 * i);
    transpose_in_lanes(rows, pairs);
    transpose_in_lanes(rows + 4, pairs + 4);
    unroll<2>([&](auto half) {
      if (k == next_group && k < weight.k) {
        tables = ChannelTables(ids += 16);
        next_group += weight.group;
      }
      unroll<4>([&](int j) {
        unroll<2>([&](int i) {
          // Bits of a neighbour in a sign are harmless: they cannot change it, nor let zero be another than zero.
          const __m256i pair = pairs[4 * i + j];
          const __m256i code = half ? _mm256_srli_epi16(pair, 4) : pair;
          const __m256i index = _mm256_or_si256(_mm256_and_si256(code, index_bits), tables.format[i]);
          use.quad(k, j, i, _mm256_shuffle_epi8(grids, index), half ? pair : _mm256_slli_epi16(pair, 4));
        });
      });
      use.end(tables.multiplier);
      k += 16;
    });
    codes += 256;
  }
}

/// The same for a block of any grids, in two parts for each 16 inputs.
template <class Use>
void each_split(const Fp4Weight& weight, int64_t block, Use& use) {
  const int64_t k_padded = padded_inputs(weight.k);
  const int64_t groups = groups_per_row(weight.k, weight.group);
  const uint8_t* codes = weight.codes + block * k_padded * 8;
  const uint8_t* ids = weight.tables + block * groups * 16;
  int64_t next_group = weight.group;
  for (int64_t k = 0; k < k_padded; k += 16) {
    if (k == next_group && k < weight.k) {
      ids += 16;
      next_group += weight.group;
    }
    __m256i w[8];
    for (int i = 0; i < 8; ++i) {
      const __m256i pair = load256(codes + k / 32 * 256 + 32 * i);
      const __m256i code = _mm256_and_si256(k % 32 ? _mm256_srli_epi16(pair, 4) : pair, _mm256_set1_epi8(15));
      const __m128i first = load128(kDecode.value[ids[2 * i]]);
      w[i] = _mm256_shuffle_epi8(_mm256_set_m128i(load128(kDecode.value[ids[2 * i + 1]]), first), code);
    }
    __m256i halves[2][4];
    transpose_in_lanes(w, halves[0]);
    transpose_in_lanes(w + 4, halves[1]);
    __m256i quads[4][2];
    for (int j = 0; j < 4; ++j) {
      for (int i = 0; i < 2; ++i) quads[j][i] = halves[i][j];
    }
    use_split(quads, k, use);
  }
}

}  // namespace
}  // namespace hqdit
