// SPDX-License-Identifier: Apache-2.0
// What the backends with AVX-512 VNNI share.
#pragma once

#include <immintrin.h>

#include "arch/x86/memory.h"
#include "gemm/backend.h"

namespace hqdit {
namespace {

/// In each lane, the 4 x 4 matrix of 32-bit elements transposed: out[j] element i = in[i] element j.
inline void transpose_in_lanes(const __m512i in[4], __m512i out[4]) {
  const __m512i ab_low = _mm512_unpacklo_epi32(in[0], in[1]);
  const __m512i ab_high = _mm512_unpackhi_epi32(in[0], in[1]);
  const __m512i cd_low = _mm512_unpacklo_epi32(in[2], in[3]);
  const __m512i cd_high = _mm512_unpackhi_epi32(in[2], in[3]);
  out[0] = _mm512_unpacklo_epi64(ab_low, cd_low);
  out[1] = _mm512_unpackhi_epi64(ab_low, cd_low);
  out[2] = _mm512_unpacklo_epi64(ab_high, cd_high);
  out[3] = _mm512_unpackhi_epi64(ab_high, cd_high);
}

/// Of 16 channels of which transpose_in_lanes has made lane l those of 4 i + l.
inline __m512i channels_in_order(__m512i channels) {
  const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  return _mm512_permutexvar_epi32(order, channels);
}

/// Of 16 channels, a lane of four registers each.
inline __m512i sum_of_each(const __m512i lanes[4]) {
  const __m512i ab =
      _mm512_add_epi32(_mm512_unpacklo_epi32(lanes[0], lanes[1]), _mm512_unpackhi_epi32(lanes[0], lanes[1]));
  const __m512i cd =
      _mm512_add_epi32(_mm512_unpacklo_epi32(lanes[2], lanes[3]), _mm512_unpackhi_epi32(lanes[2], lanes[3]));
  return channels_in_order(_mm512_add_epi32(_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd)));
}

/// Step 4 for the 16 channels of one block: everything but the row is loaded once.
struct Finish {
  __m512 scale;
  __m512 bias;
  __mmask16 exists;
  float* out;
  int64_t stride;
  const float* token_scale;

  Finish(const Tile& t, int block)
      : scale(_mm512_loadu_ps(t.scale + 16 * block)),
        bias(_mm512_loadu_ps(t.bias + 16 * block)),
        out(t.out + 16 * block),
        stride(t.out_stride),
        token_scale(t.token_scale) {
    const int64_t left = t.channels - 16 * block;
    exists = left >= 16 ? __mmask16{0xFFFF} : static_cast<__mmask16>((1u << left) - 1);
  }

  void operator()(int row, __m512i acc) const {
    const __m512 y = _mm512_mul_ps(_mm512_cvtepi32_ps(acc), scale);
    const __m512 shifted = _mm512_add_ps(_mm512_mul_ps(y, _mm512_set1_ps(token_scale[row])), bias);
    _mm512_mask_storeu_ps(out + row * stride, exists, shifted);
  }
};

}  // namespace
}  // namespace hqdit
