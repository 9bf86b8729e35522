// SPDX-License-Identifier: Apache-2.0
// Lattice points by their places, found for many inputs before they are needed: what pairs_by_ids.h does, for
// any processor with AVX2.
#pragma once

#include "arch/x86/lattice_pairs.h"
#include "arch/x86/memory.h"
#include "gemm/table_ids.h"
#include "gemm/unroll.h"

namespace hqdit {
namespace {

template <Operand kOperand>
struct PairsByOffsets {
  static constexpr int64_t kSteps = 64;  // times 32 inputs: so many that no step waits for its own
  static constexpr int kScale = 8;       // An address scales by it, and the rest fits VPMADDUBSW.

  class Eight {
   public:
    Eight(const uint16_t* offsets, int channel) : offsets_(offsets + channel / 2) {}

    __m256i pair(int i) const { return load_pair<kOperand>(kScale * int64_t{offsets_[i]}); }

   private:
    const uint16_t* offsets_;
  };

  template <class Use>
  [[gnu::always_inline]] static void each_run(const Fp4Weight& weight, int64_t block, int blocks, const Use& use) {
    const __m256i id_bits = _mm256_set1_epi8(LatticePairs::kIds - 1);
    constexpr int kStrides = sizeof(LatticePairs::value[0][0]) / kScale | sizeof(LatticePairs::value[0]) / kScale << 8;
    const __m256i strides = _mm256_set1_epi16(static_cast<int16_t>(kStrides));
    alignas(32) uint16_t offsets[kSteps][2][8];
    const int64_t k_padded = stored_inputs(weight.k);
    for (int b = 0; b < blocks; ++b) {
      TableIds ids(weight, block + b);
      const uint8_t* row = ids.in_a_row();
      for (int64_t begin = 0; begin < k_padded; begin += 32 * kSteps) {
        const int64_t end = least(k_padded, begin + 32 * kSteps);
        for (int64_t k = begin; k < end; k += 32) {
          __m256i both;
          if (row) {
            both = load256(row + k);
          } else {
            const __m128i first = load128(ids.at(k));
            both = _mm256_set_m128i(load128(ids.at(k + 16)), first);
          }
          store256(offsets[(k - begin) / 32], _mm256_maddubs_epi16(strides, _mm256_and_si256(both, id_bits)));
        }
        use(b, begin, end, [&offsets, begin](int64_t k) { return offsets[0][0] + (k - begin) / 2; });
      }
    }
  }
};

}  // namespace
}  // namespace hqdit
