// SPDX-License-Identifier: Apache-2.0
// Weights of channel_gemv.h for AVX2: VPMADDUBSW multiplies inputs by grid values, VPMADDWD the sums of two by the
// multiplier.
#pragma once

#include "arch/x86/channel_gemv.h"
#include "arch/x86/two_level.h"
#include "gemm/lattice.h"

namespace hqdit {
namespace {

struct GridTables {
  alignas(32) int8_t even_odd[32];    ///< for VPSHUFB, to bring a lane's even bytes before its odd ones
  alignas(32) int8_t word[8][32];     ///< the same, to spread 16-bit element c of a lane over it
  alignas(32) int8_t e2m1[32];        ///< of each code
  alignas(32) int8_t minus_e1m2[32];  ///< of each code
};

constexpr GridTables make_grid_tables() {
  GridTables tables{};
  for (int i = 0; i < 32; ++i) {
    const int j = i % 16;
    tables.even_odd[i] = static_cast<int8_t>(j % 8 * 2 + j / 8);
    for (int c = 0; c < 8; ++c) tables.word[c][i] = static_cast<int8_t>(2 * c + i % 2);
    tables.e2m1[i] = static_cast<int8_t>(j < 8 ? kE2m1Grid[j] : -kE2m1Grid[j - 8]);
    tables.minus_e1m2[i] = static_cast<int8_t>(j < 8 ? -j : j - 8);
  }
  return tables;
}

inline constexpr GridTables kGrids = make_grid_tables();

struct PairGrid {
  __m256i values;
  __m256i multiplier;  ///< int16

  __m256i add(__m256i sums, __m256i inputs, __m256i w) const {
    return _mm256_add_epi32(sums, _mm256_madd_epi16(_mm256_maddubs_epi16(inputs, w), multiplier));
  }
};

/// Of channels without E3M0. A multiplier is negative where its grid is, which is that of E1M2. So the highest bits of
/// both its bytes say which grid is meant.
class SmallGrids {
 public:
  /// Of `steps` times 32 inputs from k on. They are of no use unless fit() says so.
  SmallGrids(TableIds& ids, int64_t k, int64_t steps) {
    __m256i most = _mm256_setzero_si256();
    const auto set = [&](int64_t step, __m256i id) {
      most = _mm256_max_epu8(most, id);
      const __m256i e1m2 = _mm256_sub_epi8(_mm256_set1_epi8(kFirstE1m2 - 1), id);
      const __m256i e2m1 = _mm256_sub_epi8(_mm256_set1_epi8(kFirstE1m2), e1m2);
      const __m256i multipliers = _mm256_blendv_epi8(e2m1, e1m2, e1m2);
      store256(multipliers_[step], _mm256_shuffle_epi8(multipliers, load256(kGrids.even_odd)));
    };
    if (const uint8_t* pairs = ids.pairs_at(k)) {
      for (int64_t s = 0; s < steps; ++s) set(s, load256(pairs + 32 * s));
    } else {
      for (int64_t s = 0; s < steps; ++s) {
        const __m128i first = load128(ids.at(k + 32 * s));
        set(s, _mm256_set_m128i(load128(ids.at(k + 32 * s + 16)), first));
      }
    }
    const __m256i above = _mm256_subs_epu8(most, _mm256_set1_epi8(kFirstE3m0 - 1));
    fit_ = _mm256_testz_si256(above, above) != 0;
  }

  bool fit() const { return fit_; }

  class Half {
   public:
    explicit Half(const int8_t* multipliers) : multipliers_(_mm256_cvtepi8_epi16(load128(multipliers))) {}

    PairGrid pair(int c) const {
      const __m256i multiplier = _mm256_shuffle_epi8(multipliers_, load256(kGrids.word[c]));
      return {_mm256_blendv_epi8(load256(kGrids.e2m1), load256(kGrids.minus_e1m2), multiplier), multiplier};
    }

   private:
    __m256i multipliers_;
  };

  /// Of the first or the second 16 inputs of a step.
  Half half(int64_t step, int i) const { return Half(multipliers_[step][i]); }

 private:
  alignas(32) int8_t multipliers_[kGemvSteps][2][16];  ///< of even channels, then of odd ones
  bool fit_;
};

}  // namespace
}  // namespace hqdit
