// SPDX-License-Identifier: Apache-2.0
// The weight lattice: one 16-entry int8 table per (format, multiplier) pair. docs/fp4-linear.md, "Weights".
#pragma once

#include <cstdint>

namespace hqdit {

constexpr int kTables = 29;
constexpr int kE2m1Multipliers = 10;
constexpr int kE1m2Multipliers = 18;
// The multipliers of E1M2 and the one of E3M0 count from these table ids on.
constexpr int kFirstE1m2 = kE2m1Multipliers;
constexpr int kFirstE3m0 = kFirstE1m2 + kE1m2Multipliers;
constexpr int kE2m1Grid[8] = {0, 1, 2, 3, 4, 6, 8, 12};
constexpr int kE3m0Grid[8] = {0, 1, 2, 4, 8, 16, 32, 64};

struct DecodeTables {
  // Ids above 28 decode to zero, so that no file can make us read past the tables.
  alignas(64) int8_t value[256][16];
};

constexpr DecodeTables make_decode_tables() {
  DecodeTables tables{};
  for (int id = 0; id < kTables; ++id) {
    for (int code = 0; code < 16; ++code) {
      const int index = code & 7;
      int value = kE3m0Grid[index];
      if (id < kE2m1Multipliers) {
        value = kE2m1Grid[index] * (id + 1);
      } else if (id < kFirstE3m0) {
        value = index * (id - kE2m1Multipliers + 1);
      }
      tables.value[id][code] = static_cast<int8_t>(code < 8 ? value : -value);
    }
  }
  return tables;
}

inline constexpr DecodeTables kDecode = make_decode_tables();

namespace {

/// k as a weight's codes have it.
constexpr int64_t stored_inputs(int64_t k) { return (k + 31) & ~int64_t{31}; }
constexpr int64_t channel_blocks(int64_t n) { return (n + 15) / 16; }
/// The usual group does without a division, which a block of one token would wait for.
constexpr int64_t groups_per_row(int64_t k, int64_t group) {
  return (group == 16 ? (k - 1) >> 4 : (k - 1) / group) + 1;
}
static_assert(groups_per_row(16, INT64_MAX) == 1, "a group may be any number from k on");

}  // namespace
}  // namespace hqdit
