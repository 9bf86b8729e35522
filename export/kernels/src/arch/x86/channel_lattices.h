// SPDX-License-Identifier: Apache-2.0
// Weights of channel_gemv.h for any format: lattice points, each channel's by its table id.
#pragma once

#include "arch/x86/channel_gemv.h"
#include "arch/x86/two_level.h"
#include "gemm/lattice.h"

namespace hqdit {
namespace {

/// Products()(sums, inputs, w) adds products.
template <class Products>
class Lattices {
 public:
  Lattices(TableIds& ids, int64_t k, int64_t steps) {
    static_assert(sizeof kDecode.value[0] == 16);
    for (int64_t i = 0; i < 2 * steps; ++i) {
      store256(offsets_[i], _mm256_slli_epi16(_mm256_cvtepu8_epi16(load128(ids.at(k + 16 * i))), 4));
    }
  }

  static bool fit() { return true; }

  struct Pair {
    __m256i values;

    static __m256i add(__m256i sums, __m256i inputs, __m256i w) { return Products()(sums, inputs, w); }
  };

  class Half {
   public:
    explicit Half(const uint16_t* offsets) : offsets_(offsets) {}

    Pair pair(int c) const { return {_mm256_set_m128i(table(2 * c + 1), table(2 * c))}; }

   private:
    __m128i table(int channel) const { return load128(kDecode.value[0] + offsets_[channel]); }

    const uint16_t* offsets_;
  };

  Half half(int64_t step, int i) const { return Half(offsets_[2 * step + i]); }

 private:
  alignas(32) uint16_t offsets_[2 * kGemvSteps][16];  ///< bytes into kDecode
};

}  // namespace
}  // namespace hqdit
