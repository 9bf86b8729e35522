// SPDX-License-Identifier: Apache-2.0
// Decodes FP4 weights with AVX-512 VBMI. Codes are transposed while there are two in a byte; then each 32-bit lane
// holds four inputs of one channel, and one 64-byte table has all grids. Its values are raised by the grid's largest,
// so that they and their products with the multiplier fit uint8: one 16-bit multiplication then does two of them, with
// nothing to carry from the lower to the upper.
#pragma once

#include "arch/x86/fp4_avx512.h"
#include "arch/x86/lattice_pairs.h"
#include "gemm/lattice.h"
#include "gemm/unroll.h"

namespace hqdit {
namespace {

struct LatticeTables {
  alignas(64) uint8_t grid[64];    // [format][code]
  alignas(64) uint8_t format[64];  // [table id], times 16
  alignas(64) uint8_t multiplier[64];
  alignas(64) uint8_t raised[64];  // what is to be subtracted after the multiplication, modulo 256
};

constexpr LatticeTables make_lattice_tables(Operand operand) {
  LatticeTables tables{};
  const int top[3] = {12, 7, 64};
  for (int code = 0; code < 16; ++code) {
    const int sign = code < 8 ? 1 : -1;
    tables.grid[code] = static_cast<uint8_t>(top[0] + sign * kE2m1Grid[code & 7]);
    tables.grid[16 + code] = static_cast<uint8_t>(top[1] + sign * (code & 7));
    tables.grid[32 + code] = static_cast<uint8_t>(top[2] + sign * kE3m0Grid[code & 7]);
  }
  for (int id = 0; id < 64; ++id) {
    int format = 3;  // its grid is zero
    int multiplier = 0;
    if (id < kE2m1Multipliers) {
      format = 0;
      multiplier = id + 1;
    } else if (id < kFirstE3m0) {
      format = 1;
      multiplier = id - kE2m1Multipliers + 1;
    } else if (id < kTables) {
      format = 2;
      multiplier = 1;
    }
    tables.format[id] = static_cast<uint8_t>(16 * format);
    tables.multiplier[id] = static_cast<uint8_t>(multiplier);
    const int raised = format < 3 ? multiplier * top[format] : 0;
    tables.raised[id] = static_cast<uint8_t>(raised - static_cast<int>(operand));
  }
  return tables;
}

template <Operand kOperand>
inline constexpr LatticeTables kLattice = make_lattice_tables(kOperand);

/// What one group's 16 tables ask for; a channel in each 32-bit lane.
template <Operand kOperand>
struct GroupLattice {
  __m512i format;
  __m512i multiplier;  // 16 bits
  __m512i raised;

  explicit GroupLattice(const uint8_t* ids) {
    const __m512i each_four_times = _mm512_add_epi8(
        _mm512_setr_epi32(0, 0, 0, 0, 0x04040404, 0x04040404, 0x04040404, 0x04040404, 0x08080808, 0x08080808,
                          0x08080808, 0x08080808, 0x0C0C0C0C, 0x0C0C0C0C, 0x0C0C0C0C, 0x0C0C0C0C),
        _mm512_broadcast_i32x4(_mm_setr_epi32(0, 0x01010101, 0x02020202, 0x03030303)));
    const __m512i lanes = _mm512_shuffle_epi8(_mm512_broadcast_i32x4(load128(ids)), each_four_times);
    format = _mm512_permutexvar_epi8(lanes, _mm512_load_si512(kLattice<kOperand>.format));
    multiplier =
        _mm512_maskz_permutexvar_epi8(0x5555555555555555u, lanes, _mm512_load_si512(kLattice<kOperand>.multiplier));
    raised = _mm512_permutexvar_epi8(lanes, _mm512_load_si512(kLattice<kOperand>.raised));
  }

  /// The operands of the codes in the low nibbles.
  __m512i decode(__m512i codes) const {
    constexpr int kAndOr = 0xEA;  // (a & b) | c
    const __m512i entry = _mm512_ternarylogic_epi32(codes, _mm512_set1_epi8(15), format, kAndOr);
    const __m512i grid = _mm512_permutexvar_epi8(entry, _mm512_load_si512(kLattice<kOperand>.grid));
    return _mm512_sub_epi8(_mm512_mullo_epi16(grid, multiplier), raised);
  }
};

/// 16 channels x 16 bytes of codes as four registers of [16 channels][4 bytes].
inline void transpose_codes(const uint8_t* codes, __m512i quads[4]) {
  const __m512i first = _mm512_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28, 1, 5, 9, 13, 17, 21, 25, 29);
  const __m512i second = _mm512_add_epi32(first, _mm512_set1_epi32(2));
  __m512i rows[4];
  for (int i = 0; i < 4; ++i) rows[i] = _mm512_loadu_si512(codes + 64 * i);
  const __m512i low01 = _mm512_permutex2var_epi32(rows[0], first, rows[1]);
  const __m512i low23 = _mm512_permutex2var_epi32(rows[0], second, rows[1]);
  const __m512i high01 = _mm512_permutex2var_epi32(rows[2], first, rows[3]);
  const __m512i high23 = _mm512_permutex2var_epi32(rows[2], second, rows[3]);
  quads[0] = _mm512_shuffle_i64x2(low01, high01, 0x44);
  quads[1] = _mm512_shuffle_i64x2(low01, high01, 0xEE);
  quads[2] = _mm512_shuffle_i64x2(low23, high23, 0x44);
  quads[3] = _mm512_shuffle_i64x2(low23, high23, 0xEE);
}

/// Calls use(quad, j, operands) with inputs 4 * quad .. 4 * quad + 3 of a 16-channel block as [16 channels][4 inputs];
/// j, a constant, is quad modulo 4.
template <Operand kOperand, class Use>
[[gnu::always_inline]] inline void decode_block(const Fp4Weight& weight, int64_t block, const Use& use) {
  const int64_t k_blocks = stored_inputs(weight.k) / 32;
  const int64_t groups = groups_per_row(weight.k, weight.group);
  const uint8_t* codes = weight.codes + block * k_blocks * 256;
  const uint8_t* ids = weight.tables + block * groups * 16;
  int64_t next_group = weight.group;
  GroupLattice<kOperand> lattice(ids);
  for (int64_t kb = 0; kb < k_blocks; ++kb, codes += 256) {
    prefetch_ahead(codes, ids);
    __m512i quads[4];
    transpose_codes(codes, quads);
    unroll<2>([&](auto half) {
      const int64_t k = 32 * kb + 16 * half;
      if (k == next_group && k < weight.k) {
        lattice = GroupLattice<kOperand>(ids += 16);
        next_group += weight.group;
      }
      unroll<4>([&](auto j) {
        use(8 * kb + 4 * half + j, j, lattice.decode(half ? _mm512_srli_epi16(quads[j], 4) : quads[j]));
      });
    });
  }
}

}  // namespace
}  // namespace hqdit
