// SPDX-License-Identifier: Apache-2.0
// One or two tokens times FP4 weights with registers of 256 bits, straight from the codes, as they lie: a lane is 32
// inputs of a channel. Magnitudes of inputs meet weights that have the signs of the products.
//
// `Weights` reads the tables of a block's 16 channels for up to kGemvSteps times 32 inputs. half(step, i) gives those
// of the first or the second 16 inputs of a step, of which pair(c) gives channels 2 c and 2 c + 1, a lane each:
// `values`, int8, of each code, and add(sums, inputs, w), sums + products of 16 inputs, int32.
#pragma once

#include "arch/x86/avx2_channels.h"
#include "arch/x86/two_level.h"
#include "gemm/table_ids.h"
#include "gemm/unroll.h"

namespace hqdit {
namespace {

constexpr int kGemvRows = 2;
constexpr int64_t kGemvSteps = 64;  // so many that no step waits for its own table ids

inline __m256i both_lanes(const uint8_t* p) { return _mm256_broadcastsi128_si256(load128(p)); }

/// The sign bits of 32 inputs where the codes that meet them have theirs.
inline __m128i as_signs_of_codes(__m256i inputs) {
  const __m256i signs = _mm256_and_si256(inputs, _mm256_set1_epi8(-128));
  const __m128i low = _mm_srli_epi16(_mm256_castsi256_si128(signs), 4);
  return _mm_or_si128(low, _mm256_extracti128_si256(signs, 1));
}

/// Tokens become magnitudes. Of their signs lhs.gemv has, for each 32 inputs, 16 bytes that change the signs of codes
/// where the first token is negative; after k_padded / 2 bytes, for a second token, 32 that are negative where one
/// token is and the other is not, and never zero. V::inputs gives 32 inputs of a packed row as int8, in order.
template <class V>
void prepare_gemv_lhs(const PackedLhs& lhs, int64_t rows, int64_t k_padded) {
  uint8_t* other = lhs.gemv + k_padded / 2;
  for (int64_t k = 0; k < k_padded; k += 32) {
    const __m256i first = V::inputs(lhs.data + k);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(lhs.gemv + k / 2), as_signs_of_codes(first));
    store256(lhs.data + k, _mm256_abs_epi8(first));
    if (rows == 1) continue;
    uint8_t* row = lhs.data + lhs.stride + k;
    const __m256i second = V::inputs(row);
    store256(other + k, _mm256_or_si256(_mm256_xor_si256(first, second), _mm256_set1_epi8(1)));
    store256(row, _mm256_abs_epi8(second));
  }
}

/// sums + products of `steps` times 32 inputs from k on and 8 channels, a lane each, from channel 2 * pair on; int32.
template <int Rows, class Weights>
[[gnu::flatten]] void add_products(const Weights& weights, const uint8_t* codes, const Tile& t, int64_t k,
                                   int64_t steps, int pair, __m256i (&sums)[Rows][4]) {
  const uint8_t* lhs = t.lhs + k;
  const uint8_t* signs = t.gemv + k / 2;
  const uint8_t* others = Rows == 1 ? signs : t.gemv + t.k_padded / 2 + k;
  const __m256i code_bits = _mm256_set1_epi8(15);
  __m256i acc[Rows][4];  // registers, where `sums` is memory
  unroll<Rows>([&](int r) { unroll<4>([&](int c) { acc[r][c] = sums[r][c]; }); });
  for (int64_t s = 0; s < steps; ++s, codes += 256, lhs += 32, signs += 16) {
    const __m256i first = both_lanes(signs);
    unroll<2>([&](int i) {
      const auto half = weights.half(s, i);
      __m256i inputs[Rows];
      unroll<Rows>([&](int r) { inputs[r] = both_lanes(lhs + r * t.lhs_stride + 16 * i); });
      const __m256i other = Rows == 1 ? first : both_lanes(others + 32 * s + 16 * i);
      unroll<4>([&](int c) {
        const __m256i both = _mm256_xor_si256(first, load256(codes + 32 * c));
        const __m256i code = _mm256_and_si256(i == 0 ? both : _mm256_srli_epi16(both, 4), code_bits);
        const auto channels = half.pair(pair + c);
        const __m256i w = _mm256_shuffle_epi8(channels.values, code);
        acc[0][c] = channels.add(acc[0][c], inputs[0], w);
        if constexpr (Rows == 2) acc[1][c] = channels.add(acc[1][c], inputs[1], _mm256_sign_epi8(w, other));
      });
    });
  }
  unroll<Rows>([&](int r) { unroll<4>([&](int c) { sums[r][c] = acc[r][c]; }); });
}

/// Of 8 channels from their lanes.
inline __m256i each_sum(const __m256i (&lanes)[4]) {
  const __m256i even_odd =
      _mm256_hadd_epi32(_mm256_hadd_epi32(lanes[0], lanes[1]), _mm256_hadd_epi32(lanes[2], lanes[3]));
  return _mm256_permutevar8x32_epi32(even_odd, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
}

/// `Rows` tokens, as prepare_gemv_lhs left them, times one block; false, with nothing written, if it does not fit
/// Weights.
template <int Rows, class Weights>
bool gemv_block(const Fp4Weight& weight, int64_t block, const Tile& t) {
  const int64_t k_padded = stored_inputs(weight.k);
  const uint8_t* codes = weight.codes + block * k_padded * 8;
  TableIds ids(weight, block);
  __m256i sums[2][Rows][4]{};
  for (int64_t k = 0; k < k_padded; k += 32 * kGemvSteps) {
    const int64_t left = (k_padded - k) / 32;
    const int64_t steps = left < kGemvSteps ? left : kGemvSteps;
    const Weights weights(ids, k, steps);
    if (!weights.fit()) return false;
    for (int i = 0; i < 2; ++i) add_products(weights, codes + 8 * k + 128 * i, t, k, steps, 4 * i, sums[i]);
  }
  for (int r = 0; r < Rows; ++r) {
    for (int i = 0; i < 2 && 8 * i < t.channels; ++i) finish(each_sum(sums[i][r]), t, r, 8 * i);
  }
  return true;
}

}  // namespace
}  // namespace hqdit
