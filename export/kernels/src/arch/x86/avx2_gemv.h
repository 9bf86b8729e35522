// SPDX-License-Identifier: Apache-2.0
// One or two tokens times FP4 weights with AVX2, straight from the codes, in two levels: VPMADDUBSW multiplies the
// magnitudes of grid values by inputs that have the weights' signs, VPMADDWD the sum of a group's 16 by its multiplier.
// 127 * 12 * 8 = 12,192 fits 16 bits, and of E3M0, whose grid goes to 64, 127 * 64 * 4 = 32,512.
#pragma once

#include <cstring>

#include "arch/x86/avx2_channels.h"
#include "arch/x86/avx2_panel.h"
#include "arch/x86/two_level.h"
#include "gemm/unroll.h"

namespace hqdit {
namespace {

/// Packed tokens, which are a + 128 in the order of a panel's inputs, as int8 in their own order, that of the codes.
inline void prepare_gemv_lhs(const PackedLhs& lhs, int64_t row, int64_t rows, int64_t k_padded) {
  const __m128i even_first = _mm_setr_epi8(0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15);
  const auto in_order = [&](const uint8_t* a) {
    return _mm_shuffle_epi8(_mm_xor_si128(load128(a), _mm_set1_epi8(-128)), even_first);
  };
  for (int64_t r = row; r < row + rows; ++r) {
    uint8_t* a = lhs.data + r * lhs.stride;
    for (int64_t k = 0; k < k_padded; k += 32) {
      const __m128i low = in_order(a + k);
      const __m128i high = in_order(a + k + 16);
      _mm_storeu_si128(reinterpret_cast<__m128i*>(a + k), _mm_unpacklo_epi64(low, high));
      _mm_storeu_si128(reinterpret_cast<__m128i*>(a + k + 16), _mm_unpackhi_epi64(low, high));
    }
  }
}

/// `Rows` tokens, as prepare_gemv_lhs left them, times one block.
template <int Rows, bool AnyGrid>
[[gnu::flatten]] void gemv_rows(const Fp4Weight& weight, int64_t block, const Tile& t) {
  constexpr int kQuads = AnyGrid ? 2 : 4;  // whose products fit
  const int64_t k_padded = stored_inputs(weight.k);
  const uint8_t* codes = weight.codes + block * k_padded * 8;
  TableIds ids(weight, block);
  const __m256i magnitude_bits = _mm256_set1_epi8(0x77);
  __m256i acc[Rows][2];  // of channels in the order that transposition leaves
  unroll<Rows>([&](int r) { acc[r][0] = acc[r][1] = _mm256_setzero_si256(); });
  for (int64_t k = 0; k < k_padded; k += 32, codes += 256) {
    const ChannelTables<ChannelOrder::kEvenOdd, AnyGrid> low(ids.at(k));
    const ChannelTables<ChannelOrder::kEvenOdd, AnyGrid> high(ids.at(k + 16));
    unroll<2>([&](auto i) {
      asm("" ::: "memory");  // Tokens are loaded once more: there are no registers to keep them in.
      __m256i rows[4];
      unroll<4>([&](int c) { rows[c] = load256(codes + 128 * i + 32 * c); });
      __m256i pairs[4];
      transpose_in_lanes(rows, pairs);
      __m256i sums[Rows][2];
      unroll<4>([&](auto j) {
        const __m256i magnitudes = _mm256_and_si256(pairs[j], magnitude_bits);
        const __m256i grid[2] = {low.magnitude(i, magnitudes), high.magnitude(i, _mm256_srli_epi16(magnitudes, 4))};
        // Bits of a neighbour in a sign are harmless: they cannot change it, nor let zero be another than zero.
        const __m256i signs[2] = {_mm256_slli_epi16(pairs[j], 4), pairs[j]};
        unroll<Rows>([&](int r) {
          unroll<2>([&](int half) {
            int32_t quad;
            std::memcpy(&quad, t.lhs + r * t.lhs_stride + k + 16 * half + 4 * j, sizeof quad);
            const __m256i inputs = _mm256_sign_epi8(_mm256_set1_epi32(quad), signs[half]);
            const __m256i products = _mm256_maddubs_epi16(grid[half], inputs);
            __m256i& sum = sums[r][half];
            sum = j % kQuads == 0 ? products : _mm256_add_epi16(sum, products);
            if (j % kQuads == kQuads - 1) acc[r][i] = multiplied(acc[r][i], sum, (half ? high : low).multiplier(i));
          });
        });
      });
    });
  }
  const __m256i in_order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
  unroll<Rows>([&](int r) {
    finish(_mm256_permutevar8x32_epi32(acc[r][0], in_order), t, r, 0);
    if (t.channels > 8) finish(_mm256_permutevar8x32_epi32(acc[r][1], in_order), t, r, 8);
  });
}

constexpr int kGemvRows = 2;

inline void gemv(const Fp4Weight& weight, int64_t block, const Tile& t) {
  with_count<kGemvRows>(t.rows, [&](auto rows) {
    if (has_large_grid(weight, block)) {
      gemv_rows<rows, true>(weight, block, t);
    } else {
      gemv_rows<rows, false>(weight, block, t);
    }
  });
}

}  // namespace
}  // namespace hqdit
