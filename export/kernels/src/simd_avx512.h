// SPDX-License-Identifier: Apache-2.0
// V of tokens.h for AVX-512: 16 floats. The left side is int8, one token a row.
#pragma once

#include "backend.h"
#include "simd_x86.h"

namespace hqdit {
namespace {

struct Avx512 : X86Int16 {
  using Float = __m512;
  static constexpr int64_t kWidth = 16;

  static Float load(const float* p) { return _mm512_loadu_ps(p); }
  static void store(float* p, Float v) { _mm512_storeu_ps(p, v); }
  static Float set1(float v) { return _mm512_set1_ps(v); }
  static Float add(Float a, Float b) { return _mm512_add_ps(a, b); }
  static Float sub(Float a, Float b) { return _mm512_sub_ps(a, b); }
  static Float mul(Float a, Float b) { return _mm512_mul_ps(a, b); }
  static Float fma(Float a, Float b, Float c) { return _mm512_fmadd_ps(a, b, c); }

  /// The stages at distance 1, 2, 4 and 8: the lane's partner plus or minus the lane.
  static Float butterflies(Float v) {
    v = stage(v, _mm512_permute_ps(v, 0xB1), 0xAAAA);
    v = stage(v, _mm512_permute_ps(v, 0x4E), 0xCCCC);
    v = stage(v, _mm512_shuffle_f32x4(v, v, 0xB1), 0xF0F0);
    return stage(v, _mm512_shuffle_f32x4(v, v, 0x4E), 0xFF00);
  }

  static uint32_t largest_magnitude_bits(const float* y, int64_t count) {
    __m512i largest[2] = {_mm512_setzero_si512(), _mm512_setzero_si512()};
    const __m512i mask = _mm512_set1_epi32(0x7fffffff);
    for (int64_t k = 0; k < count; k += 32) {
      for (int i = 0; i < 2; ++i) {
        const __m512i bits = _mm512_castps_si512(_mm512_loadu_ps(y + k + 16 * i));
        largest[i] = _mm512_max_epu32(largest[i], _mm512_and_si512(bits, mask));
      }
    }
    return _mm512_reduce_max_epu32(_mm512_max_epu32(largest[0], largest[1]));
  }

  static Int16 round16(const float* y, float inverse) {
    return _mm512_cvtepi32_epi16(_mm512_cvtps_epi32(_mm512_mul_ps(_mm512_loadu_ps(y), _mm512_set1_ps(inverse))));
  }
  static void put16(const Left& left, int64_t row, int64_t k, Int16 v) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(left.data + row * left.stride + k), _mm256_cvtepi16_epi8(v));
  }
  /// The panel holds w + 128, so the accumulators must start at -128 sum(a).
  static void finish_row(const Left& left, int64_t row, int64_t k_padded) {
    const uint8_t* a = left.data + row * left.stride;
    const __m256i ones = _mm256_set1_epi8(1);
    __m256i sum = _mm256_setzero_si256();
    for (int64_t k = 0; k < k_padded; k += 32) {
      sum = _mm256_dpbusd_epi32(sum, ones, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(a + k)));
    }
    left.offset[row] = -128 * _mm512_reduce_add_epi32(_mm512_zextsi256_si512(sum));
  }
  static Int16 e2m1_grid(Int16 steps) {
    const __m256i low = _mm256_setr_epi16(0, 1, 1, 2, 2, 3, 3, 4, 4, 4, 6, 6, 6, 6, 8, 8);
    const __m256i high = _mm256_setr_epi16(8, 8, 8, 8, 12, 12, 12, 12, 12, 12, 12, 12, 12, 12, 12, 12);
    return _mm256_permutex2var_epi16(low, _mm256_min_epi16(steps, _mm256_set1_epi16(31)), high);
  }

 private:
  static Float stage(Float v, Float partner, __mmask16 minus) {
    return _mm512_mask_sub_ps(_mm512_add_ps(partner, v), minus, partner, v);
  }
};

}  // namespace
}  // namespace hqdit
