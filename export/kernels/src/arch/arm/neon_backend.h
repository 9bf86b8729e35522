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

/// V::lhs16(lhs, stride, row, k) gives 16 inputs of a token, V::multiply_add(acc, weights, token) adds 16 products to
/// four partial sums.
template <class V, int Rows>
void gemv_of(const Fp4Weight& weight, int64_t block, const Tile& t) {
  // Eight channels at a time, so that the accumulators of two tokens fit the registers.
  for (int first = 0; first < 16; first += 8) {
    CodeReader reader(weight, block);
    int32x4_t acc[Rows][8];
    unroll<Rows>([&](int r) { unroll<8>([&](int i) { acc[r][i] = vdupq_n_s32(0); }); });
    for (int64_t k = 0; k < t.k_padded; k += 16) {
      reader.at(k);
      int8x16_t tokens[Rows];
      unroll<Rows>([&](int r) { tokens[r] = V::lhs16(t.lhs, t.lhs_stride, r, k); });
      unroll<8>([&](int i) {
        const int8x16_t w = reader.weights(first + i);
        unroll<Rows>([&](int r) { acc[r][i] = V::multiply_add(acc[r][i], w, tokens[r]); });
      });
    }
    unroll<Rows>([&](int r) {
      unroll<2>([&](int half) {
        const int32x4_t ab = vpaddq_s32(acc[r][4 * half], acc[r][4 * half + 1]);
        const int32x4_t cd = vpaddq_s32(acc[r][4 * half + 2], acc[r][4 * half + 3]);
        if (t.channels > first + 4 * half) finish(vpaddq_s32(ab, cd), t, r, first + 4 * half);
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
  b.pack_lhs_row = pack_lhs_row<V>;
  b.gemv = gemv<V>;
  return b;
}

}  // namespace
}  // namespace hqdit
