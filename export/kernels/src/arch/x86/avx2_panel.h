// SPDX-License-Identifier: Apache-2.0
// The panel of AVX2: for each 16-channel block a Header, then for each 32 inputs one Step, or two of int8 that are no
// weights. Four bytes of a channel are inputs 2 j, 2 j + 1, 16 + 2 j and 17 + 2 j, and so are those of a token
// (interleave_halves), so that a 16-bit lane adds products of one half alone and VPMADDWD takes both multipliers.
#pragma once

#include "arch/x86/two_level.h"
#include "gemm/backend.h"
#include "gemm/unroll.h"

namespace hqdit {
namespace {

enum class Kind : int64_t {
  kWide,   ///< the products of 16 inputs fit 16 bits with these very weights
  kSmall,  ///< grid values to 12, of which those of 8 inputs always fit
  kLarge,  ///< grid values to 64: those of 2
  kSplit,  ///< int8 in two parts within -8 .. 8, two Steps for each 32 inputs; those of 16 always fit
};

struct Header {
  int32_t start[16];  ///< -128 times the sum of a channel's weights
  Kind kind;
  int64_t unused[7];
};

struct Step {
  int8_t grid[8][16][4];      ///< [j][channels][inputs as above]
  int16_t multiplier[16][2];  ///< of the first and of the second 16 inputs
};

static_assert(sizeof(Header) == 128 && sizeof(Step) == 576);

constexpr int64_t block_bytes(int64_t k_padded) {
  return static_cast<int64_t>(sizeof(Header)) + k_padded / 32 * 2 * static_cast<int64_t>(sizeof(Step));
}

inline __m256i multiplied(__m256i sum, __m256i pairs, __m256i multiplier) {
  return _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, multiplier));
}

/// The even 16-bit lanes of a, the odd ones of b.
inline __m256i even_odd(__m256i a, __m256i b) { return _mm256_blend_epi16(a, b, 0xAA); }

/// Writes one block.
class PanelWriter {
 public:
  explicit PanelWriter(uint8_t* panel) : header_(reinterpret_cast<Header*>(panel)) {
    step_ = reinterpret_cast<Step*>(header_ + 1);
    most_ = _mm256_setzero_si256();
    unroll<2>([&](int i) { total_[i] = pairs_[i] = magnitudes_[i] = _mm256_setzero_si256(); });
  }

  void quads(int j, int i, __m256i first, __m256i second) {
    add(2 * j, i, even_odd(first, _mm256_slli_epi32(second, 16)));
    add(2 * j + 1, i, even_odd(_mm256_srli_epi32(first, 16), second));
  }

  void end(const __m256i first[2], const __m256i second[2]) {
    unroll<2>([&](int i) {
      const __m256i multiplier = even_odd(first[i], second[i]);
      store256(step_->multiplier[8 * i], multiplier);
      total_[i] = multiplied(total_[i], pairs_[i], multiplier);
      const __m256i magnitude = _mm256_maddubs_epi16(magnitudes_[i], _mm256_set1_epi8(1));
      most_ = _mm256_max_epi16(most_, _mm256_add_epi16(magnitude, _mm256_abs_epi16(pairs_[i])));
      pairs_[i] = magnitudes_[i] = _mm256_setzero_si256();
    });
    ++step_;
  }

  /// Tokens are at most 255, so a sum fits if neither its positive nor its negative weights come to more than 128: if
  /// their magnitudes and the magnitude of their sum are together at most 256.
  bool sums_fit() const {
    const __m256i above = _mm256_cmpgt_epi16(most_, _mm256_set1_epi16(256));
    return _mm256_testz_si256(above, above) != 0;
  }

  void finish(Kind kind) {
    header_->kind = kind;
    // The largest sums wrap around at 32 bits, and so do those that they are taken off.
    unroll<2>([&](int i) {
      store256(header_->start + 8 * i, _mm256_sub_epi32(_mm256_setzero_si256(), _mm256_slli_epi32(total_[i], 7)));
    });
  }

 private:
  void add(int j, int i, __m256i grid) {
    store256(step_->grid[j][8 * i], grid);
    pairs_[i] = _mm256_add_epi16(pairs_[i], _mm256_maddubs_epi16(_mm256_set1_epi8(1), grid));
    magnitudes_[i] = _mm256_add_epi8(magnitudes_[i], _mm256_abs_epi8(grid));
  }

  Header* header_;
  Step* step_;
  __m256i pairs_[2];       ///< of the Step, int16: the sum of its weights
  __m256i magnitudes_[2];  ///< of the Step, uint8: 8 of at most 12, where it matters
  __m256i total_[2];
  __m256i most_;
};

[[gnu::flatten]] inline void decode_rhs_panel(const Fp4Weight& weight, int64_t block, int blocks, uint8_t* panel) {
  for (int64_t b = block; b < block + blocks; ++b, panel += block_bytes(stored_inputs(weight.k))) {
    PanelWriter writer(panel);
    if (has_large_grid(weight, b)) {
      each_two_level<true>(weight, b, writer);
      writer.finish(Kind::kLarge);
    } else {
      each_two_level<false>(weight, b, writer);
      writer.finish(writer.sums_fit() ? Kind::kWide : Kind::kSmall);
    }
  }
}

[[gnu::flatten]] inline void pack_rhs(const int8_t* quads, int64_t k_padded, int blocks, uint8_t* panel) {
  for (int b = 0; b < blocks; ++b, panel += block_bytes(k_padded)) {
    PanelWriter writer(panel);
    for (int64_t k = 0; k < k_padded; k += 32, quads += 512) split_in_two(quads, writer);
    writer.finish(Kind::kSplit);
  }
}

/// A token's inputs in the order of a panel's.
inline void interleave_halves(uint8_t* a, int64_t k_padded) {
  for (int64_t k = 0; k < k_padded; k += 32) {
    const __m128i first = load128(a + k);
    const __m128i second = load128(a + k + 16);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(a + k), _mm_unpacklo_epi16(first, second));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(a + k + 16), _mm_unpackhi_epi16(first, second));
  }
}

/// 32 inputs that interleave_halves changed as they were.
inline __m256i in_order(__m256i a) {
  const __m128i even_first = _mm_setr_epi8(0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15);
  return _mm256_permute4x64_epi64(_mm256_shuffle_epi8(a, _mm256_broadcastsi128_si256(even_first)), 0xD8);
}

}  // namespace
}  // namespace hqdit
