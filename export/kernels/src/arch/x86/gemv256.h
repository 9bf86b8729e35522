// SPDX-License-Identifier: Apache-2.0
// What gemv.h takes from processors with registers of 256 bits.
#pragma once

#include "arch/x86/avx2_channels.h"
#include "arch/x86/gemv.h"

namespace hqdit {
namespace {

struct Gemv256 {
  using Vector = __m256i;
  static constexpr int kChannels = 2;
  static constexpr int kMostSums = 8;

  static Vector zero() { return _mm256_setzero_si256(); }
  static Vector load(const uint8_t* codes) { return load256(codes); }
  static Vector low_nibbles(Vector v) { return _mm256_and_si256(v, _mm256_set1_epi8(15)); }
  static Vector high_nibbles(Vector v) { return low_nibbles(_mm256_srli_epi16(v, 4)); }
  template <class Eight>
  static Vector lattices(const Eight& tables, int i) {
    return tables.pair(i);
  }
  static Vector look_up(Vector table, Vector code) { return _mm256_shuffle_epi8(table, code); }
  static Vector both_lanes(const uint8_t* p) { return _mm256_broadcastsi128_si256(load128(p)); }

  template <int Registers>
  static void finish(const Vector (&sums)[Registers], const Tile& t, int row, int first) {
    const __m256i offset = _mm256_set1_epi32(t.offset[row]);
    for (int i = 0; i < Registers && first + 2 * i < t.channels; i += 4) {
      hqdit::finish(_mm256_add_epi32(sum_of_each(sums + i), offset), t, row, first + 2 * i);
    }
  }
};

}  // namespace
}  // namespace hqdit
