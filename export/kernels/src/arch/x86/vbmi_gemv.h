// SPDX-License-Identifier: Apache-2.0
// One or two tokens times FP4 weights with AVX-512 VBMI, in two levels: VPDPBUSD multiplies 16 inputs by grid values,
// VPDPWSSD their sum, which fits 16 bits (12 * 127 * 16 < 2^15), by the group's multiplier. Grid values are raised by
// the largest, because VPDPBUSD takes unsigned ones; PackedLhs::gemv has what that adds, to take it off.
#pragma once

#include <cstring>

#include "arch/x86/fp4_avx512.h"
#include "arch/x86/vbmi_decode.h"
#include "gemm/lattice.h"
#include "gemm/unroll.h"

namespace hqdit {
namespace {

constexpr int kRaised = 12;
constexpr int kMultiplierBits = 31;
constexpr int kE1m2Bit = 32;

struct TwoLevelTables {
  alignas(64) uint8_t grid[64];         // [kE1m2Bit, then the highest of kMultiplierBits][code]
  alignas(64) uint8_t lattice[64];      // of a table id: multiplier and kE1m2Bit; zero beyond E1M2's
  alignas(64) uint8_t channels[2][64];  // 16 * half + channel, in the order of transpose_codes_in_lanes
};

constexpr TwoLevelTables make_two_level_tables() {
  TwoLevelTables tables{};
  for (int i = 0; i < 64; ++i) {
    const int magnitude = (i & kE1m2Bit) != 0 ? i & 7 : kE2m1Grid[i & 7];
    tables.grid[i] = static_cast<uint8_t>((i & 8) != 0 ? kRaised - magnitude : kRaised + magnitude);
  }
  for (int i = 0; i < kE2m1Multipliers; ++i) tables.lattice[i] = static_cast<uint8_t>(i + 1);
  for (int i = 0; i < kE1m2Multipliers; ++i) {
    tables.lattice[kE2m1Multipliers + i] = static_cast<uint8_t>(kE1m2Bit + i + 1);
  }
  for (int half = 0; half < 2; ++half) {
    for (int i = 0; i < 64; ++i) {
      const int lane = i / 16;
      tables.channels[half][i] = static_cast<uint8_t>(16 * half + lane + i % 16 / 4 * 4);
    }
  }
  return tables;
}

inline constexpr TwoLevelTables kTwoLevel = make_two_level_tables();

/// 16 channels x 16 bytes of codes as four registers of [4 lanes][4 channels][4 bytes], the channels of lane l being
/// l, 4 + l, 8 + l and 12 + l. To put them in order would take shuffles that cost more.
inline void transpose_codes_in_lanes(const uint8_t* codes, __m512i quads[4]) {
  __m512i rows[4];
  for (int i = 0; i < 4; ++i) rows[i] = _mm512_loadu_si512(codes + 64 * i);
  transpose_in_lanes(rows, quads);
}

/// Fills lhs.gemv, int32 [rows][k_padded / 16]. V::place tells where the packed LHS has input k.
template <class V>
void store_group_offsets(const PackedLhs& lhs, int64_t rows, int64_t k_padded) {
  int32_t* group_offset = reinterpret_cast<int32_t*>(lhs.gemv);
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t k = 0; k < k_padded; k += 16) {
      const __m128i inputs = load128(V::place(lhs.data, lhs.stride, r, k));
      const __m128i fours = _mm_dpbusd_epi32(_mm_setzero_si128(), _mm_set1_epi8(kRaised), inputs);
      const __m128i eights = _mm_add_epi32(fours, _mm_shuffle_epi32(fours, 0x4E));
      const __m128i sum = _mm_add_epi32(eights, _mm_shuffle_epi32(eights, 0xB1));
      group_offset[(r * k_padded + k) / 16] = -_mm_cvtsi128_si32(sum);
    }
  }
}

/// Without E3M0, whose grid goes to 64. Returns false, with nothing written, if a channel of the block has it.
template <class V, int Rows>
bool multiply_small_grids(const Fp4Weight& weight, int64_t block, const Tile& t) {
  const int64_t k_blocks = stored_inputs(weight.k) / 32;
  const uint8_t* codes = weight.codes + block * k_blocks * 256;
  const uint8_t* ids = weight.tables + block * groups_per_row(weight.k, weight.group) * 16;
  const int32_t* group_offset = reinterpret_cast<const int32_t*>(t.gemv);
  const __m512i grid = _mm512_load_si512(kTwoLevel.grid);
  const __m512i lattice = _mm512_load_si512(kTwoLevel.lattice);
  const __m512i channels[2] = {_mm512_load_si512(kTwoLevel.channels[0]), _mm512_load_si512(kTwoLevel.channels[1])};
  const __m512i code_bits = _mm512_set1_epi8(15);
  const __m512i multiplier_bits = _mm512_set1_epi32(kMultiplierBits);
  int64_t next_group = weight.group;
  __m256i most = _mm256_setzero_si256();
  __m512i acc[Rows];
  unroll<Rows>([&](int r) { acc[r] = _mm512_setzero_si512(); });
  for (int64_t kb = 0; kb < k_blocks; ++kb, codes += 256) {
    prefetch_ahead(codes, ids);
    __m128i half_ids[2];
    unroll<2>([&](int half) {
      const int64_t k = 32 * kb + 16 * half;
      if (k == next_group && k < weight.k) {
        ids += 16;
        next_group += weight.group;
      }
      half_ids[half] = load128(ids);
    });
    const __m256i block_ids = _mm256_set_m128i(half_ids[1], half_ids[0]);
    most = _mm256_max_epu8(most, block_ids);
    const __m512i lattices = _mm512_permutexvar_epi8(_mm512_castsi256_si512(block_ids), lattice);
    __m512i quads[4];
    transpose_codes_in_lanes(codes, quads);
    unroll<2>([&](auto half) {
      const __m512i mine = _mm512_permutexvar_epi8(channels[half], lattices);
      __m512i sum[Rows];
      unroll<Rows>([&](int r) { sum[r] = _mm512_set1_epi32(group_offset[r * t.k_padded / 16 + 2 * kb + half]); });
      unroll<4>([&](auto j) {
        constexpr int kSelect = 0xE2;  // b ? a : c
        const __m512i code = half ? _mm512_srli_epi16(quads[j], 4) : quads[j];
        const __m512i w = _mm512_permutexvar_epi8(_mm512_ternarylogic_epi32(code, code_bits, mine, kSelect), grid);
        unroll<Rows>([&](int r) {
          int32_t inputs;
          std::memcpy(&inputs, V::place(t.lhs, t.lhs_stride, r, 32 * kb + 16 * half + 4 * j), sizeof inputs);
          sum[r] = _mm512_dpbusd_epi32(sum[r], w, _mm512_set1_epi32(inputs));
        });
      });
      const __m512i multiplier = _mm512_and_si512(mine, multiplier_bits);
      unroll<Rows>([&](int r) { acc[r] = _mm512_dpwssd_epi32(acc[r], sum[r], multiplier); });
    });
  }
  if (_mm256_cmpge_epu8_mask(most, _mm256_set1_epi8(kFirstE3m0)) != 0) return false;
  const Finish finish(t, 0);
  const __m512i in_order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  unroll<Rows>([&](int r) { finish(r, _mm512_permutexvar_epi32(in_order, acc[r])); });
  return true;
}

/// With any grid: lattice points meet the inputs.
template <class V, int Rows>
void multiply_any_grid(const Fp4Weight& weight, int64_t block, const Tile& t) {
  // Each waits for itself.
  constexpr int kSums = 4;
  __m512i acc[Rows][kSums];
  unroll<Rows>([&](int r) {
    acc[r][0] = _mm512_set1_epi32(t.offset[r]);
    unroll<kSums - 1>([&](int i) { acc[r][i + 1] = _mm512_setzero_si512(); });
  });
  decode_block<Operand::kRaisedBy128>(weight, block, [&](int64_t quad, auto sum, __m512i w) {
    unroll<Rows>([&](int r) {
      int32_t inputs;
      std::memcpy(&inputs, V::place(t.lhs, t.lhs_stride, r, 4 * quad), sizeof inputs);
      acc[r][sum] = _mm512_dpbusd_epi32(acc[r][sum], w, _mm512_set1_epi32(inputs));
    });
  });
  const Finish finish(t, 0);
  unroll<Rows>([&](int r) {
    finish(r, _mm512_add_epi32(_mm512_add_epi32(acc[r][0], acc[r][1]), _mm512_add_epi32(acc[r][2], acc[r][3])));
  });
}

/// Up to kGemvRows tokens times one block.
template <class V>
void gemv_vbmi(const Fp4Weight& weight, int64_t block, const Tile& t) {
  with_count<kGemvRows>(t.rows, [&](auto rows) {
    if (!multiply_small_grids<V, rows>(weight, block, t)) multiply_any_grid<V, rows>(weight, block, t);
  });
}

}  // namespace
}  // namespace hqdit
