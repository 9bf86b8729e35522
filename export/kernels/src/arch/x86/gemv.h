// SPDX-License-Identifier: Apache-2.0
// One or two tokens times FP4 weights, straight from the codes, as they lie: a 128-bit lane is 32 inputs of a channel.
//
// `Isa` has a Vector of as many lanes as kChannels, Pairs, which finds lattice points (pairs_by_ids.h), and
// Inputs<Rows>, which holds 32 inputs of each token: codes() loads the codes of kChannels channels for them, and
// add_products(sums, w, row, half) multiplies the first or the second 16.
#pragma once

#include "arch/x86/decode.h"
#include "arch/x86/memory.h"
#include "gemm/backend.h"
#include "gemm/lattice.h"
#include "gemm/unroll.h"

namespace hqdit {
namespace {

constexpr int kGemvRows = 2;

/// sums + products of inputs k .. end - 1 and `Registers` times Isa::kChannels channels, from `first` on; a lane each.
/// codes: of the first of both.
template <class Isa, int Rows, int Registers, class TablesAt>
[[gnu::flatten]] void add_products(const uint8_t* codes, int first, const Tile& t, int64_t k, int64_t end,
                                   TablesAt tables_at, typename Isa::Vector (&sums)[Rows][Registers]) {
  constexpr int kPerEight = 8 / Isa::kChannels;
  typename Isa::Vector acc[Rows][Registers];  // registers, where `sums` is memory
  unroll<Rows>([&](int r) { unroll<Registers>([&](int i) { acc[r][i] = sums[r][i]; }); });
  for (; k < end; k += 32, codes += 256) {
    prefetch_codes(codes);
    const typename Isa::template Inputs<Rows> inputs(t, k);
    const auto* low = tables_at(k);
    const auto* high = tables_at(k + 16);
    unroll<Registers / kPerEight>([&](int eight) {
      using Eight = typename Isa::Pairs::Eight;
      const Eight tables[2] = {Eight(low, first + 8 * eight), Eight(high, first + 8 * eight)};
      unroll<kPerEight>([&](int j) {
        const int i = kPerEight * eight + j;
        const auto both = inputs.codes(codes + 16 * Isa::kChannels * i);
        unroll<2>([&](auto half) {
          const auto w = operands<Isa>(both, half, tables[half], j);
          unroll<Rows>([&](auto r) { acc[r][i] = inputs.add_products(acc[r][i], w, r, half); });
        });
      });
    });
  }
  unroll<Rows>([&](int r) { unroll<Registers>([&](int i) { sums[r][i] = acc[r][i]; }); });
}

/// `Rows` tokens times the blocks of a tile. The loop over blocks lies here, so that what is the same for all is found
/// once.
template <class Isa, int Rows>
[[gnu::flatten]] void gemv_blocks(const Fp4Weight& weight, int64_t block, const Tile& t) {
  constexpr int kRegisters = least(16 / Isa::kChannels, Isa::kMostSums / Rows);
  constexpr int kParts = 16 / (kRegisters * Isa::kChannels);
  const int64_t last = stored_inputs(weight.k);
  const uint8_t* codes = weight.codes + block * last * 8;
  typename Isa::Vector sums[kParts][Rows][kRegisters];
  Isa::Pairs::each_run(weight, block, t.blocks, [&](int b, int64_t k, int64_t end, const auto& tables_at) {
    if (k == 0) {
      unroll<kParts>([&](int part) {
        unroll<Rows>([&](int r) { unroll<kRegisters>([&](int i) { sums[part][r][i] = Isa::zero(); }); });
      });
    }
    unroll<kParts>([&](int part) {
      const int first = part * kRegisters * Isa::kChannels;
      add_products<Isa>(codes + 16 * first, first, t, k, end, tables_at, sums[part]);
    });
    codes += 8 * (end - k);
    if (end < last) return;
    unroll<kParts>([&](int part) {
      const int channel = 16 * b + part * kRegisters * Isa::kChannels;
      unroll<Rows>([&](int r) { Isa::finish(sums[part][r], t, r, channel); });
    });
  });
}

/// Up to kGemvRows tokens times the blocks of a tile.
template <class Isa>
void gemv(const Fp4Weight& weight, int64_t block, const Tile& t) {
  with_count<kGemvRows>(t.rows, [&](auto rows) { gemv_blocks<Isa, rows>(weight, block, t); });
}

}  // namespace
}  // namespace hqdit
