// SPDX-License-Identifier: Apache-2.0
// FP4 weights in two levels for processors that multiply bytes into 16 bits: small grid values, of which VPMADDUBSW
// may add those of 8 inputs without saturation, and a multiplier for their sum. 255 * 12 * 8 = 24,480 < 2^15. Of the
// larger ones of E3M0 it may add two: 255 * 64 * 2 = 32,640.
#pragma once

#include <immintrin.h>

#include "arch/x86/avx2_channels.h"
#include "arch/x86/memory.h"
#include "gemm/backend.h"
#include "gemm/lattice.h"
#include "gemm/table_ids.h"
#include "gemm/unroll.h"

namespace hqdit {
namespace {

/// For VPSHUFB, to spread the bytes of 16 channels over two registers: over all four bytes of a channel, or as the low
/// bytes of both its 16-bit lanes.
struct Spread {
  alignas(32) int8_t bytes[2][32];
  alignas(32) int8_t words[2][32];
};

constexpr Spread make_spread() {
  Spread spread{};
  for (int i = 0; i < 64; ++i) {
    spread.bytes[i / 32][i % 32] = static_cast<int8_t>(i / 4);
    spread.words[i / 32][i % 32] = i % 2 == 0 ? spread.bytes[i / 32][i % 32] : int8_t{-128};
  }
  return spread;
}

inline constexpr Spread kSpread = make_spread();

/// What the table ids of 16 channels say. Of i = 0 and 1, 8 channels each, 32 bits a channel:
template <bool AnyGrid>
class ChannelTables {
 public:
  explicit ChannelTables(const uint8_t* ids) {
    const __m256i id = _mm256_broadcastsi128_si256(load128(ids));
    const __m256i one = _mm256_set1_epi8(1);
    const __m256i e1m2 = _mm256_cmpgt_epi8(id, _mm256_set1_epi8(kFirstE1m2 - 1));
    const __m256i before = _mm256_and_si256(e1m2, _mm256_set1_epi8(kFirstE1m2));
    multipliers_ = _mm256_add_epi8(_mm256_sub_epi8(id, before), one);
    if constexpr (AnyGrid) {
      e3m0_ = _mm256_cmpgt_epi8(id, _mm256_set1_epi8(kFirstE3m0 - 1));
      multipliers_ = _mm256_blendv_epi8(multipliers_, one, e3m0_);
    }
    formats_ = _mm256_and_si256(e1m2, _mm256_set1_epi8(8));
  }

  /// int16, twice a channel.
  __m256i multiplier(int i) const { return _mm256_shuffle_epi8(multipliers_, load256(kSpread.words[i])); }

  /// Of codes without their signs, 4 inputs of each channel.
  __m256i magnitude(int i, __m256i codes) const {
    const __m256i grids = _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 1, 2, 3, 4, 6, 8, 12, 0, 1, 2, 3, 4, 5, 6, 7));
    const __m256i small = _mm256_shuffle_epi8(grids, _mm256_or_si256(codes, bytes(formats_, i)));
    if constexpr (!AnyGrid) return small;
    const __m256i large = _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 1, 2, 4, 8, 16, 32, 64, 0, 0, 0, 0, 0, 0, 0, 0));
    return _mm256_blendv_epi8(small, _mm256_shuffle_epi8(large, codes), bytes(e3m0_, i));
  }

 private:
  static __m256i bytes(__m256i channels, int i) { return _mm256_shuffle_epi8(channels, load256(kSpread.bytes[i])); }

  __m256i multipliers_;
  __m256i formats_;  ///< 8 in the bytes of E1M2
  __m256i e3m0_;     ///< all ones in its bytes, where AnyGrid
};

/// Whether a block has a grid whose values exceed 12: that of E3M0.
inline bool has_large_grid(const Fp4Weight& weight, int64_t block) {
  const int64_t groups = groups_per_row(weight.k, weight.group);
  const uint8_t* ids = weight.tables + block * groups * 16;
  __m256i pairs = _mm256_setzero_si256();
  for (int64_t g = 0; g < groups / 2; ++g) pairs = _mm256_max_epu8(pairs, load256(ids + 32 * g));
  __m128i most = load128(ids + 16 * (groups - 1));  // which belongs to no pair if they are odd
  most = _mm_max_epu8(most, _mm_max_epu8(_mm256_castsi256_si128(pairs), _mm256_extracti128_si256(pairs, 1)));
  const __m128i above = _mm_subs_epu8(most, _mm_set1_epi8(kFirstE3m0 - 1));
  return _mm_testz_si128(above, above) == 0;
}

/// Goes along the weights of one block, of any grids or, where !AnyGrid, of small ones. For each 32 inputs calls
/// use.quads(j, i, grid values of inputs 4 j .. 4 j + 3, of inputs 16 more) for channels 8 i .. 8 i + 7, then
/// use.end(multipliers of the first 16 inputs, of the others).
template <bool AnyGrid, class Use>
void each_two_level(const Fp4Weight& weight, int64_t block, Use& use) {
  const int64_t k_padded = stored_inputs(weight.k);
  const uint8_t* codes = weight.codes + block * k_padded * 8;
  TableIds ids(weight, block);
  const __m256i magnitude_bits = _mm256_set1_epi8(7);
  for (int64_t k = 0; k < k_padded; k += 32, codes += 256) {
    const ChannelTables<AnyGrid> low(ids.at(k));
    const ChannelTables<AnyGrid> high(ids.at(k + 16));
    unroll<2>([&](int i) {
      __m256i rows[4];  // Lanes: channels 8 i + c and 8 i + c + 4.
      for (int c = 0; c < 4; ++c) {
        const uint8_t* row = codes + 16 * (8 * i + c);
        rows[c] = _mm256_set_m128i(load128(row + 64), load128(row));
      }
      __m256i pairs[4];
      transpose_in_lanes(rows, pairs);
      unroll<4>([&](int j) {
        // Bits of a neighbour in a sign are harmless: they cannot change it, nor let zero be another than zero.
        const __m256i first = low.magnitude(i, _mm256_and_si256(pairs[j], magnitude_bits));
        const __m256i second = high.magnitude(i, _mm256_and_si256(_mm256_srli_epi16(pairs[j], 4), magnitude_bits));
        use.quads(j, i, _mm256_sign_epi8(first, _mm256_slli_epi16(pairs[j], 4)), _mm256_sign_epi8(second, pairs[j]));
      });
    });
    const __m256i first[2] = {low.multiplier(0), low.multiplier(1)};
    const __m256i second[2] = {high.multiplier(0), high.multiplier(1)};
    use.end(first, second);
  }
}

/// The same for int8 [32 inputs / 4][16 channels][4 inputs] within +-127 that are no weights, in two parts: 16 high +
/// low, where -8 <= low < 8 and -8 <= high <= 8.
template <class Use>
void split_in_two(const int8_t* quads, Use& use) {
  const __m256i sixteen[2] = {_mm256_set1_epi16(16), _mm256_set1_epi16(16)};
  const __m256i one[2] = {_mm256_set1_epi16(1), _mm256_set1_epi16(1)};
  const __m256i eight = _mm256_set1_epi8(8);
  const __m256i low_bits = _mm256_set1_epi8(15);
  const auto low = [&](__m256i values) {
    return _mm256_sub_epi8(_mm256_xor_si256(_mm256_and_si256(values, low_bits), eight), eight);
  };
  const auto high = [&](__m256i values) {
    // 8 more than the value and 128 would not fit: half of both does.
    const __m256i raised = _mm256_xor_si256(values, _mm256_set1_epi8(-128));
    const __m256i half = _mm256_and_si256(_mm256_srli_epi16(raised, 1), _mm256_set1_epi8(127));
    const __m256i eighths = _mm256_srli_epi16(_mm256_add_epi8(half, _mm256_set1_epi8(4)), 3);
    return _mm256_sub_epi8(_mm256_and_si256(eighths, _mm256_set1_epi8(31)), eight);
  };
  const auto each_quad = [&](const auto& part) {
    for (int j = 0; j < 4; ++j) {
      for (int i = 0; i < 2; ++i) {
        const int8_t* first = quads + 64 * j + 32 * i;
        use.quads(j, i, part(load256(first)), part(load256(first + 256)));
      }
    }
  };
  each_quad(high);
  use.end(sixteen, sixteen);
  each_quad(low);
  use.end(one, one);
}

}  // namespace
}  // namespace hqdit
