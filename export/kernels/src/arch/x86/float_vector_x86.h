// SPDX-License-Identifier: Apache-2.0
// What the float vectors of AVX2 and AVX-512 share: what is done with their last eight lanes, and with four.
#pragma once

#include <immintrin.h>

#include <cstdint>

namespace hqdit {
namespace {

inline float sum_of_eight(__m256 eight) {
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}
inline float largest_of_eight(__m256 eight) {
  const __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
}

inline void transpose_quads(const float* from, int64_t stride, float* to) {
  __m128 a = _mm_loadu_ps(from);
  __m128 b = _mm_loadu_ps(from + stride);
  __m128 c = _mm_loadu_ps(from + 2 * stride);
  __m128 d = _mm_loadu_ps(from + 3 * stride);
  _MM_TRANSPOSE4_PS(a, b, c, d);
  _mm_storeu_ps(to, a);
  _mm_storeu_ps(to + 16, b);
  _mm_storeu_ps(to + 32, c);
  _mm_storeu_ps(to + 48, d);
}

}  // namespace
}  // namespace hqdit
