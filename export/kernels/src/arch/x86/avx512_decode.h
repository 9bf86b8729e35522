// SPDX-License-Identifier: Apache-2.0
// Decodes FP4 weights for processors that have AVX-512 VNNI and no VBMI: a lane looks up one channel's 16 inputs.
#pragma once

#include "arch/x86/fp4_avx512.h"
#include "gemm/lattice.h"
#include "gemm/unroll.h"

namespace hqdit {
namespace {

/// The tables of channels first, first + step, ... in the four lanes, plus 128. A broadcast into some lanes is a load
/// and a blend on any port, where an insertion would take the one that looks the codes up.
inline __m512i four_tables(const uint8_t* ids, int first, int step) {
  const auto table = [&](int lane) { return load128(kDecode.value[ids[first + lane * step]]); };
  __m512i luts = _mm512_castsi128_si512(table(0));
  luts = _mm512_mask_broadcast_i32x4(luts, 0x00F0, table(1));
  luts = _mm512_mask_broadcast_i32x4(luts, 0x0F00, table(2));
  luts = _mm512_mask_broadcast_i32x4(luts, 0xF000, table(3));
  return _mm512_xor_si512(luts, _mm512_set1_epi8(-128));
}

/// The tables of all 16 channels: lane l of out[i] is channel i * stride + l * step.
inline void sixteen_tables(const uint8_t* ids, int stride, int step, __m512i out[4]) {
  for (int i = 0; i < 4; ++i) out[i] = four_tables(ids, i * stride, step);
}

/// Sixteen 4-lane rows as columns: out[i] lane l = in[l] lane i.
inline void transpose_lanes(const __m512i in[4], __m512i out[4]) {
  const __m512i ab_low = _mm512_shuffle_i32x4(in[0], in[1], 0x44);
  const __m512i ab_high = _mm512_shuffle_i32x4(in[0], in[1], 0xEE);
  const __m512i cd_low = _mm512_shuffle_i32x4(in[2], in[3], 0x44);
  const __m512i cd_high = _mm512_shuffle_i32x4(in[2], in[3], 0xEE);
  out[0] = _mm512_shuffle_i32x4(ab_low, cd_low, 0x88);
  out[1] = _mm512_shuffle_i32x4(ab_low, cd_low, 0xDD);
  out[2] = _mm512_shuffle_i32x4(ab_high, cd_high, 0x88);
  out[3] = _mm512_shuffle_i32x4(ab_high, cd_high, 0xDD);
}

inline __m512i low_nibbles(__m512i v) { return _mm512_and_si512(v, _mm512_set1_epi8(15)); }
inline __m512i high_nibbles(__m512i v) { return low_nibbles(_mm512_srli_epi16(v, 4)); }

}  // namespace
}  // namespace hqdit
