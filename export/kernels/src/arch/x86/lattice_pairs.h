// SPDX-License-Identifier: Apache-2.0
// Lattice points of two channels side by side, as VPSHUFB of 256 bits looks them up: one load in place of a load and an
// insertion.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "gemm/lattice.h"

namespace hqdit {

/// What is added to each weight: VPDPBUSD takes unsigned ones.
enum class Operand : uint8_t { kSigned = 0, kRaisedBy128 = 128 };

struct LatticePairs {
  static constexpr int kIds = 32;                // so many that ids of 5 bits, side by side, are an index
  alignas(64) uint8_t value[kIds][kIds][2][16];  ///< [id of the second channel][of the first][channel][code]
};

static_assert(kTables < LatticePairs::kIds && sizeof(LatticePairs) == 32 << 10);

/// Ids from kTables on decode to zero.
constexpr LatticePairs make_lattice_pairs(Operand operand) {
  LatticePairs pairs{};
  for (int second = 0; second < LatticePairs::kIds; ++second) {
    for (int first = 0; first < LatticePairs::kIds; ++first) {
      for (int code = 0; code < 16; ++code) {
        const int raised = static_cast<int>(operand);
        pairs.value[second][first][0][code] = static_cast<uint8_t>(kDecode.value[first][code] + raised);
        pairs.value[second][first][1][code] = static_cast<uint8_t>(kDecode.value[second][code] + raised);
      }
    }
  }
  return pairs;
}

template <Operand kOperand>
inline constexpr LatticePairs kLatticePairs = make_lattice_pairs(kOperand);

namespace {

/// Where a pair lies is `offset` bytes after the first.
template <Operand kOperand>
__m256i load_pair(int64_t offset) {
  return _mm256_load_si256(reinterpret_cast<const __m256i*>(kLatticePairs<kOperand>.value[0][0][0] + offset));
}

}  // namespace
}  // namespace hqdit
