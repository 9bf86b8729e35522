// SPDX-License-Identifier: Apache-2.0
// What the backends of 256-bit registers share: transpositions, sums of 8 channels, and step 4 for them.
#pragma once

#include <immintrin.h>

#include "gemm/backend.h"

namespace hqdit {
namespace {

/// In each lane, the 4 x 4 matrix of 32-bit elements transposed: out[j] element i = in[i] element j.
inline void transpose_in_lanes(const __m256i in[4], __m256i out[4]) {
  const __m256i ab_low = _mm256_unpacklo_epi32(in[0], in[1]);
  const __m256i ab_high = _mm256_unpackhi_epi32(in[0], in[1]);
  const __m256i cd_low = _mm256_unpacklo_epi32(in[2], in[3]);
  const __m256i cd_high = _mm256_unpackhi_epi32(in[2], in[3]);
  out[0] = _mm256_unpacklo_epi64(ab_low, cd_low);
  out[1] = _mm256_unpackhi_epi64(ab_low, cd_low);
  out[2] = _mm256_unpacklo_epi64(ab_high, cd_high);
  out[3] = _mm256_unpackhi_epi64(ab_high, cd_high);
}

/// Of 8 channels, those with even numbers in the first lane.
inline __m256i channels_in_order(__m256i channels) {
  return _mm256_permutevar8x32_epi32(channels, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
}

/// Of 8 channels, a lane of four registers each.
inline __m256i sum_of_each(const __m256i* lanes) {
  return channels_in_order(
      _mm256_hadd_epi32(_mm256_hadd_epi32(lanes[0], lanes[1]), _mm256_hadd_epi32(lanes[2], lanes[3])));
}

/// out[first .. first + 8) of one token from its accumulators.
inline void finish(__m256i acc, const Tile& t, int row, int first) {
  __m256 y = _mm256_mul_ps(_mm256_cvtepi32_ps(acc), _mm256_loadu_ps(t.scale + first));
  y = _mm256_add_ps(_mm256_mul_ps(y, _mm256_set1_ps(t.token_scale[row])), _mm256_loadu_ps(t.bias + first));
  float* out = t.out + row * t.out_stride + first;
  if (t.channels - first >= 8) {
    _mm256_storeu_ps(out, y);
  } else {
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    _mm256_maskstore_ps(out, _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(t.channels) - first), lane), y);
  }
}

}  // namespace
}  // namespace hqdit
