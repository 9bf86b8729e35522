// SPDX-License-Identifier: Apache-2.0
// gemv.h by VPDPBUSD of 512 bits.
#pragma once

#include "arch/x86/fp4_avx512.h"
#include "arch/x86/gemv.h"
#include "arch/x86/pairs_by_ids.h"

namespace hqdit {
namespace {

/// Place tells where the packed LHS has 16 inputs.
template <class Place>
struct GemvAvx512 {
  using Vector = __m512i;
  using Pairs = PairsByIds<Operand::kRaisedBy128>;
  static constexpr int kChannels = 4;
  static constexpr int kMostSums = 8;

  static Vector zero() { return _mm512_setzero_si512(); }
  static Vector load(const uint8_t* codes) { return _mm512_loadu_si512(codes); }
  static Vector low_nibbles(Vector v) { return _mm512_and_si512(v, _mm512_set1_epi8(15)); }
  static Vector high_nibbles(Vector v) {
#ifdef __GFNI__
    constexpr int64_t kFourBitsDown = 0x1020408000000000;  // as a matrix
    return _mm512_gf2p8affine_epi64_epi8(v, _mm512_set1_epi64(kFourBitsDown), 0);
#else
    return low_nibbles(_mm512_srli_epi16(v, 4));
#endif
  }
  static Vector lattices(const Pairs::Eight& tables, int i) {
    const Vector first = _mm512_castsi256_si512(tables.pair(2 * i));
    return _mm512_mask_broadcast_i64x4(first, 0xF0, tables.pair(2 * i + 1));
  }
  static Vector look_up(Vector table, Vector code) { return _mm512_shuffle_epi8(table, code); }

  template <int Rows>
  struct Inputs {
    Vector halves[Rows][2];

    Inputs(const Tile& t, int64_t k) {
      unroll<Rows>([&](int r) {
        unroll<2>([&](int half) {
          const uint8_t* inputs = Place::place(t.lhs, t.lhs_stride, r, k + 16 * half);
          halves[r][half] = _mm512_broadcast_i32x4(load128(inputs));
        });
      });
    }

    static Vector codes(const uint8_t* p) {
      Vector codes = load(p);
      asm("" : "+v"(codes));  // else GCC loads them for each nibble
      return codes;
    }
    Vector add_products(Vector sums, Vector w, int row, int half) const {
      return _mm512_dpbusd_epi32(sums, w, halves[row][half]);
    }
  };

  static void finish(const Vector (&sums)[4], const Tile& t, int row, int first) {
    Finish(t, first / 16)(row, _mm512_add_epi32(sum_of_each(sums), _mm512_set1_epi32(t.offset[row])));
  }
};

}  // namespace
}  // namespace hqdit
