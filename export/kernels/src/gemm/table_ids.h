// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "gemm/lattice.h"
#include "hqdit/fp4_linear.h"

namespace hqdit {
namespace {

/// Where the tables of a block of 16 channels lie for inputs k, k + 16, ... in turn.
class TableIds {
 public:
  TableIds(const Fp4Weight& weight, int64_t block)
      : ids_(weight.tables + block * groups_per_row(weight.k, weight.group) * 16),
        next_group_(weight.group),
        weight_(weight) {}

  const uint8_t* at(int64_t k) {
    if (k == next_group_ && k < weight_.k) {
      ids_ += 16;
      next_group_ += weight_.group;
    }
    return ids_;
  }

  /// Where at(k) is k bytes on, for every k up to the next multiple of 32; nullptr unless that is so.
  const uint8_t* in_a_row() const { return weight_.group == 16 && ((weight_.k - 1) & 16) != 0 ? ids_ : nullptr; }

 private:
  const uint8_t* ids_;
  int64_t next_group_;
  const Fp4Weight& weight_;
};

}  // namespace
}  // namespace hqdit
