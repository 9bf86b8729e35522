// SPDX-License-Identifier: Apache-2.0
// V of tokens.h for AVX-512: 16 floats. The packed LHS is int8, laid out by Place.
#pragma once

#include "arch/x86/simd_x86.h"
#include "gemm/backend.h"
#include "gemm/unroll.h"

namespace hqdit {
namespace {

/// One token a row.
struct PlaceInRow {
  template <class Byte>
  static Byte* place(Byte* lhs, int64_t stride, int64_t row, int64_t k) {
    return lhs + row * stride + k;
  }
};

template <class Place>
struct Avx512 : X86Int16, Place {
  using Float = __m512;
  static constexpr int64_t kWidth = 16;

  static Float load(const float* p) { return _mm512_loadu_ps(p); }
  static void store(float* p, Float v) { _mm512_storeu_ps(p, v); }
  static Float set1(float v) { return _mm512_set1_ps(v); }
  static Float add(Float a, Float b) { return _mm512_add_ps(a, b); }
  static Float sub(Float a, Float b) { return _mm512_sub_ps(a, b); }
  static Float mul(Float a, Float b) { return _mm512_mul_ps(a, b); }
  static Float fma(Float a, Float b, Float c) { return _mm512_fmadd_ps(a, b, c); }

  /// The stages at distance 1, 2, 4 and 8: the lane's partner plus or minus the lane. Each stage goes through all
  /// vectors: one vector's four would wait for each other and keep the next block's from being looked at.
  template <int Vectors>
  static void butterflies(Float (&v)[Vectors]) {
    const __m512 one = _mm512_setr_ps(1, -1, 1, -1, 1, -1, 1, -1, 1, -1, 1, -1, 1, -1, 1, -1);
    const __m512 two = _mm512_setr_ps(1, 1, -1, -1, 1, 1, -1, -1, 1, 1, -1, -1, 1, 1, -1, -1);
    const __m512 four = _mm512_setr_ps(1, 1, 1, 1, -1, -1, -1, -1, 1, 1, 1, 1, -1, -1, -1, -1);
    const __m512 eight = _mm512_setr_ps(1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1, -1, -1, -1);
    unroll<Vectors>([&](int i) { v[i] = _mm512_fmadd_ps(v[i], one, _mm512_permute_ps(v[i], 0xB1)); });
    unroll<Vectors>([&](int i) { v[i] = _mm512_fmadd_ps(v[i], two, _mm512_permute_ps(v[i], 0x4E)); });
    unroll<Vectors>([&](int i) { v[i] = _mm512_fmadd_ps(v[i], four, _mm512_shuffle_f32x4(v[i], v[i], 0xB1)); });
    unroll<Vectors>([&](int i) { v[i] = _mm512_fmadd_ps(v[i], eight, _mm512_shuffle_f32x4(v[i], v[i], 0x4E)); });
  }

  using Bits = __m512i;
  static Bits no_bits() { return _mm512_setzero_si512(); }
  static Bits larger_bits(Bits largest, Float v) {
    return _mm512_max_epu32(largest, _mm512_and_si512(_mm512_castps_si512(v), _mm512_set1_epi32(0x7fffffff)));
  }
  /// Of a sum and the difference of the same two numbers: either both are NaN or none is.
  static Bits larger_bits(Bits largest, Float sum, Float difference) {
    constexpr int kLargerMagnitude = 0b1011;
    return _mm512_max_epu32(largest, _mm512_castps_si512(_mm512_range_ps(sum, difference, kLargerMagnitude)));
  }
  static uint32_t reduce_bits(Bits largest) { return _mm512_reduce_max_epu32(largest); }

  static Int16 round16(const float* y, float inverse) {
    return _mm512_cvtepi32_epi16(_mm512_cvtps_epi32(_mm512_mul_ps(_mm512_loadu_ps(y), _mm512_set1_ps(inverse))));
  }
  static void pack16(const PackedLhs& lhs, int64_t row, int64_t k, Int16 v) {
    uint8_t* a = Place::place(lhs.data, lhs.stride, row, k);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(a), _mm256_cvtepi16_epi8(v));
  }
  /// pack16 of the numbers times `factor`, rounded, and finish_row: 64 inputs at a time.
  static void pack_row(const PackedLhs& lhs, int64_t row, int64_t k_padded, const float* y, float factor) {
    const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    const __m512 scale = _mm512_set1_ps(factor);
    uint8_t* const data = lhs.data;
    const int64_t stride = lhs.stride;
    __m512i sum = _mm512_setzero_si512();
    int64_t k = 0;
    for (; k + 64 <= k_padded; k += 64) {
      __m512i v[4];
      unroll<4>([&](int i) { v[i] = _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_loadu_ps(y + k + 16 * i), scale)); });
      const __m512i packed = _mm512_packs_epi16(_mm512_packs_epi32(v[0], v[1]), _mm512_packs_epi32(v[2], v[3]));
      sum = _mm512_dpbusd_epi32(sum, _mm512_set1_epi8(1), packed);
      _mm512_storeu_si512(Place::place(data, stride, row, k), _mm512_permutexvar_epi32(order, packed));
    }
    for (; k < k_padded; k += 16) {
      const Int16 v = round16(y + k, factor);
      pack16(lhs, row, k, v);
      sum = _mm512_add_epi32(sum, _mm512_zextsi256_si512(_mm256_madd_epi16(v, _mm256_set1_epi16(1))));
    }
    store_offset(lhs, row, sum);
  }
  /// The panel holds w + 128, so the accumulators must start at -128 sum(a).
  static void finish_row(const PackedLhs& lhs, int64_t row, int64_t k_padded) {
    __m256i sum = _mm256_setzero_si256();
    for (int64_t k = 0; k < k_padded; k += 32) {
      const uint8_t* a = Place::place(lhs.data, lhs.stride, row, k);
      sum = _mm256_dpbusd_epi32(sum, _mm256_set1_epi8(1), _mm256_loadu_si256(reinterpret_cast<const __m256i*>(a)));
    }
    store_offset(lhs, row, _mm512_zextsi256_si512(sum));
  }
  static void store_offset(const PackedLhs& lhs, int64_t row, __m512i sum) {
    lhs.offset[row] = -128 * _mm512_reduce_add_epi32(sum);
  }
  static Int16 e2m1_grid(Int16 steps) {
    const __m256i low = _mm256_setr_epi16(0, 1, 1, 2, 2, 3, 3, 4, 4, 4, 6, 6, 6, 6, 8, 8);
    const __m256i high = _mm256_setr_epi16(8, 8, 8, 8, 12, 12, 12, 12, 12, 12, 12, 12, 12, 12, 12, 12);
    return _mm256_permutex2var_epi16(low, _mm256_min_epi16(steps, _mm256_set1_epi16(31)), high);
  }
};

}  // namespace
}  // namespace hqdit
