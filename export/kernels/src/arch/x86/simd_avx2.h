// SPDX-License-Identifier: Apache-2.0
// V of tokens.h for AVX2: 8 floats. The packed LHS is a + 128 in uint8, one token a row.
#pragma once

#include "arch/x86/simd_x86.h"
#include "gemm/backend.h"
#include "gemm/unroll.h"

namespace hqdit {
namespace {

struct Avx2 : X86Int16 {
  using Float = __m256;
  static constexpr int64_t kWidth = 8;

  static Float load(const float* p) { return _mm256_loadu_ps(p); }
  static void store(float* p, Float v) { _mm256_storeu_ps(p, v); }
  static Float set1(float v) { return _mm256_set1_ps(v); }
  static Float add(Float a, Float b) { return _mm256_add_ps(a, b); }
  static Float sub(Float a, Float b) { return _mm256_sub_ps(a, b); }
  static Float mul(Float a, Float b) { return _mm256_mul_ps(a, b); }
  static Float fma(Float a, Float b, Float c) { return _mm256_fmadd_ps(a, b, c); }

  /// The stages at distance 1, 2 and 4: the lane's partner plus or minus the lane.
  template <int Vectors>
  static void butterflies(Float (&v)[Vectors]) {
    const __m256 one = _mm256_setr_ps(1, -1, 1, -1, 1, -1, 1, -1);
    const __m256 two = _mm256_setr_ps(1, 1, -1, -1, 1, 1, -1, -1);
    const __m256 four = _mm256_setr_ps(1, 1, 1, 1, -1, -1, -1, -1);
    unroll<Vectors>([&](int i) { v[i] = _mm256_fmadd_ps(v[i], one, _mm256_permute_ps(v[i], 0xB1)); });
    unroll<Vectors>([&](int i) { v[i] = _mm256_fmadd_ps(v[i], two, _mm256_permute_ps(v[i], 0x4E)); });
    unroll<Vectors>([&](int i) { v[i] = _mm256_fmadd_ps(v[i], four, _mm256_permute2f128_ps(v[i], v[i], 1)); });
  }

  using Bits = __m256i;
  static Bits no_bits() { return _mm256_setzero_si256(); }
  static Bits larger_bits(Bits largest, Float v) {
    return _mm256_max_epi32(largest, _mm256_and_si256(_mm256_castps_si256(v), _mm256_set1_epi32(0x7fffffff)));
  }
  static uint32_t reduce_bits(Bits largest) {
    __m128i half = _mm_max_epi32(_mm256_castsi256_si128(largest), _mm256_extracti128_si256(largest, 1));
    half = _mm_max_epi32(half, _mm_shuffle_epi32(half, 0x4E));
    half = _mm_max_epi32(half, _mm_shuffle_epi32(half, 0xB1));
    return static_cast<uint32_t>(_mm_cvtsi128_si32(half));
  }

  static Int16 round16(const float* y, float inverse) {
    const __m256 scale = _mm256_set1_ps(inverse);
    const __m256i low = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(y), scale));
    const __m256i high = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(y + 8), scale));
    return _mm256_permute4x64_epi64(_mm256_packs_epi32(low, high), 0xD8);
  }
  static void pack16(const PackedLhs& lhs, int64_t row, int64_t k, Int16 v) {
    const __m128i bytes = _mm_packs_epi16(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(lhs.data + row * lhs.stride + k),
                     _mm_xor_si128(bytes, _mm_set1_epi8(-128)));
  }
  static void finish_row(const PackedLhs& lhs, int64_t row, int64_t) { lhs.offset[row] = 0; }
};

}  // namespace
}  // namespace hqdit
