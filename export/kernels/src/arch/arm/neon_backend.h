// SPDX-License-Identifier: Apache-2.0
// What the NEON backends have in common: all of V, which packs tokens as a backend's gemm takes them, and gemv.
#pragma once

#include "arch/arm/neon_weights.h"
#include "arch/arm/simd_neon.h"
#include "float_ops/backend.h"
#include "gemm/processor.h"
#include "gemm/tokens.h"

namespace hqdit {
namespace {

constexpr int kGemvRows = 2;

/// Tokens as they were before they were packed, to lhs.gemv. V::lhs16(lhs, stride, row, k) gives 16 inputs of one.
template <class V>
void prepare_gemv_lhs(const PackedLhs& lhs, int64_t rows, int64_t k_padded) {
  int8_t* to = reinterpret_cast<int8_t*>(lhs.gemv);
  for (int r = 0; r < rows; ++r) {
    for (int64_t k = 0; k < k_padded; k += 16, to += 16) vst1q_s8(to, V::lhs16(lhs.data, lhs.stride, r, k));
  }
}

/// V::multiply_add(acc, weights, token) adds 16 products to four partial sums.
template <class V, int Rows>
void gemv_of(const Fp4Weight& weight, int64_t block, const Tile& t) {
  constexpr int kChannels = 8;  // at a time, so that the accumulators of two tokens fit the registers
  const int8_t* tokens = reinterpret_cast<const int8_t*>(t.gemv);
  for (int first = 0; first < 16 * t.blocks; first += kChannels) {
    CodeReader reader(weight, block + first / 16);
    int32x4_t acc[Rows][kChannels];
    unroll<Rows>([&](int r) { unroll<kChannels>([&](int i) { acc[r][i] = vdupq_n_s32(0); }); });
    for (int64_t k = 0; k < t.k_padded; k += 32) {
      reader.at(k);
      int8x16_t inputs[Rows][2];
      unroll<Rows>([&](int r) {
        unroll<2>([&](int half) { inputs[r][half] = vld1q_s8(tokens + r * t.k_padded + k + 16 * half); });
      });
      unroll<kChannels>([&](int i) {
        const CodeReader::Weights w = reader.weights(first % 16 + i);
        unroll<Rows>([&](int r) {
          unroll<2>([&](int half) { acc[r][i] = V::multiply_add(acc[r][i], w.half[half], inputs[r][half]); });
        });
      });
    }
    unroll<Rows>([&](int r) {
      unroll<kChannels / 4>([&](int i) {
        const int32x4_t ab = vpaddq_s32(acc[r][4 * i], acc[r][4 * i + 1]);
        const int32x4_t cd = vpaddq_s32(acc[r][4 * i + 2], acc[r][4 * i + 3]);
        if (t.channels > first + 4 * i) finish(vpaddq_s32(ab, cd), t, r, first + 4 * i);
      });
    });
  }
}

template <class V>
void gemv(const Fp4Weight& weight, int64_t block, const Tile& t) {
  t.rows == 1 ? gemv_of<V, 1>(weight, block, t) : gemv_of<V, kGemvRows>(weight, block, t);
}

/// A backend adds its name, its sizes and the other side of the product.
template <class V>
constexpr Backend neon_backend() {
  Backend b;
  b.float_ops = &kFloatNeon;
  b.gemv_rows = kGemvRows;
  b.quantize_pack_lhs = quantize_pack_lhs<V>;
  b.prepare_gemv_lhs = prepare_gemv_lhs<V>;
  b.pack_lhs_row = pack_lhs_row<V>;
  b.gemv = gemv<V>;
  return b;
}

}  // namespace
}  // namespace hqdit
