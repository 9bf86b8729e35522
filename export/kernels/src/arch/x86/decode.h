// SPDX-License-Identifier: Apache-2.0
// Decodes FP4 weights into registers: what gemv.h multiplies at once and panels keep.
#pragma once

#include "gemm/backend.h"
#include "gemm/lattice.h"
#include "gemm/unroll.h"

namespace hqdit {
namespace {

/// What the first or the second 16 inputs of codes are, of the j-th Isa::kChannels of eight channels. Isa: of gemv.h.
template <class Isa>
[[gnu::always_inline]] inline typename Isa::Vector operands(typename Isa::Vector codes, int half,
                                                            const typename Isa::Pairs::Eight& tables, int j) {
  return Isa::look_up(Isa::lattices(tables, j), half == 0 ? Isa::low_nibbles(codes) : Isa::high_nibbles(codes));
}

/// Calls use(k, w) for each 16 inputs of a block, from k on: w are operands, 16 inputs of a channel in each lane, the
/// channels in order.
template <class Isa, class Use>
[[gnu::always_inline]] inline void decode_channels(const Fp4Weight& weight, int64_t block, const Use& use) {
  constexpr int kPerEight = 8 / Isa::kChannels;
  using Eight = typename Isa::Pairs::Eight;
  const uint8_t* codes = weight.codes + block * stored_inputs(weight.k) * 8;
  Isa::Pairs::each_run(weight, block, 1, [&](int, int64_t k, int64_t end, auto tables_at) {
    for (; k < end; k += 32, codes += 256) {
      const auto* low = tables_at(k);
      const auto* high = tables_at(k + 16);
      unroll<2>([&](auto half) {
        typename Isa::Vector w[2 * kPerEight];
        unroll<2>([&](int eight) {
          const Eight tables(half == 0 ? low : high, 8 * eight);
          unroll<kPerEight>([&](int j) {
            const int i = kPerEight * eight + j;
            w[i] = operands<Isa>(Isa::load(codes + 16 * Isa::kChannels * i), half, tables, j);
          });
        });
        use(k + 16 * half, w);
      });
    }
  });
}

}  // namespace
}  // namespace hqdit
