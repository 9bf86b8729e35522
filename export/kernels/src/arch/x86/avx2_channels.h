// SPDX-License-Identifier: Apache-2.0
// What the backends of 256-bit registers share: step 4 for 8 channels.
#pragma once

#include <immintrin.h>

#include "arch/x86/two_level.h"
#include "gemm/backend.h"

namespace hqdit {
namespace {

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
