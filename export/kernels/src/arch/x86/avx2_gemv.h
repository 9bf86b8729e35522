// SPDX-License-Identifier: Apache-2.0
// gemv.h for AVX2, which multiplies unsigned by signed bytes into 16 bits. Magnitudes of inputs meet weights that have
// the signs of the products: those of the codes are changed where the first token is negative.
#pragma once

#include "arch/x86/gemv256.h"
#include "arch/x86/pairs_by_offsets.h"

namespace hqdit {
namespace {

/// The sign bits of 32 inputs where the codes that meet them have theirs.
inline __m128i as_signs_of_codes(__m256i inputs) {
  const __m256i signs = _mm256_and_si256(inputs, _mm256_set1_epi8(-128));
  const __m128i low = _mm_srli_epi16(_mm256_castsi256_si128(signs), 4);
  return _mm_or_si128(low, _mm256_extracti128_si256(signs, 1));
}

/// Tokens become magnitudes. Of their signs lhs.gemv has, for each 32 inputs, 16 bytes that change the signs of codes
/// where the first token is negative; after k_padded / 2 bytes, for a second token, 32 that are negative where one
/// token is and the other is not, and never zero. V::inputs gives 32 inputs of a packed row as int8, in order.
template <class V>
void prepare_gemv_lhs(const PackedLhs& lhs, int64_t rows, int64_t k_padded) {
  uint8_t* other = lhs.gemv + k_padded / 2;
  for (int64_t k = 0; k < k_padded; k += 32) {
    const __m256i first = V::inputs(lhs.data + k);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(lhs.gemv + k / 2), as_signs_of_codes(first));
    store256(lhs.data + k, _mm256_abs_epi8(first));
    if (rows == 1) continue;
    uint8_t* row = lhs.data + lhs.stride + k;
    const __m256i second = V::inputs(row);
    store256(other + k, _mm256_or_si256(_mm256_xor_si256(first, second), _mm256_set1_epi8(1)));
    store256(row, _mm256_abs_epi8(second));
  }
}

struct GemvAvx2 : Gemv256 {
  using Pairs = PairsByOffsets<Operand::kSigned>;

  template <int Rows>
  struct Inputs {
    Vector magnitudes[Rows][2];
    Vector signs;
    Vector other_signs[2];  // of the second token

    Inputs(const Tile& t, int64_t k) : signs(both_lanes(t.gemv + k / 2)) {
      unroll<2>([&](int half) {
        unroll<Rows>([&](int r) { magnitudes[r][half] = both_lanes(t.lhs + r * t.lhs_stride + k + 16 * half); });
        if (Rows == 2) other_signs[half] = both_lanes(t.gemv + t.k_padded / 2 + k + 16 * half);
      });
    }

    Vector codes(const uint8_t* p) const { return _mm256_xor_si256(signs, load256(p)); }

    /// Those of two inputs just fit 16 bits: 2 * 127 * 126 < 2^15.
    Vector add_products(Vector sums, Vector w, int row, int half) const {
      const Vector product = row == 0 ? w : _mm256_sign_epi8(w, other_signs[half]);
      const Vector twos = _mm256_maddubs_epi16(magnitudes[row][half], product);
      return _mm256_add_epi32(sums, _mm256_madd_epi16(twos, _mm256_set1_epi16(1)));
    }
  };
};

}  // namespace
}  // namespace hqdit
