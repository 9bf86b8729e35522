// SPDX-License-Identifier: Apache-2.0
// Lattice points by table ids, for processors whose PEXT is fast: all that have VNNI.
#pragma once

#include <cstring>

#include "arch/x86/lattice_pairs.h"
#include "gemm/table_ids.h"

namespace hqdit {
namespace {

template <Operand kOperand>
struct PairsByIds {
  /// Those of eight channels, from `channel` on, two and two.
  class Eight {
   public:
    Eight(const uint8_t* ids, int channel) {
      std::memcpy(&ids_, ids + channel, sizeof ids_);
      ids_ = (ids_ & 0x1F1F1F1F1F1F1F1F) << 2;
    }

    /// Of channels 2 * i and 2 * i + 1. Their ids, and two zeros below, by an instruction that competes with none for
    /// vectors; an address scales by 8.
    __m256i pair(int i) const {
      return load_pair<kOperand>(8 * static_cast<int64_t>(_pext_u64(ids_, uint64_t{0x7C7F} << (16 * i))));
    }

   private:
    uint64_t ids_;
  };

  /// Calls use(b, begin, end, tables_at) for the inputs of blocks block + b, b < blocks, in turn: a copy of tables_at,
  /// asked for each 16 of them in turn, gives what Eight takes.
  template <class Use>
  [[gnu::always_inline]] static void each_run(const Fp4Weight& weight, int64_t block, int blocks, const Use& use) {
    const int64_t end = stored_inputs(weight.k);
    if (const uint8_t* row = TableIds(weight, block).in_a_row()) {
      for (int b = 0; b < blocks; ++b, row += end) use(b, int64_t{0}, end, [row](int64_t k) { return row + k; });
    } else {
      for (int b = 0; b < blocks; ++b) {
        TableIds ids(weight, block + b);
        use(b, int64_t{0}, end, [ids](int64_t k) mutable { return ids.at(k); });
      }
    }
  }
};

}  // namespace
}  // namespace hqdit
