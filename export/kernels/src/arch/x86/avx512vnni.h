// SPDX-License-Identifier: Apache-2.0
// What the backend with AVX-512 VBMI takes from the one that has VNNI alone: all but decoding.
#pragma once

#include "arch/x86/gemv.h"
#include "float_ops/backend.h"
#include "gemm/backend.h"

namespace hqdit {

constexpr int kVnniMr = 8;
constexpr int kVnniNr = 48;

void vnni_quantize_pack_lhs(const TokenStep& step, const TokenRows& x, int64_t row, const PackedLhs& lhs,
                            float* scratch);
void vnni_pack_rhs(const int8_t* quads, int64_t k_padded, int blocks, uint8_t* panel);
void vnni_pack_lhs_row(const float* values, int64_t k_padded, int64_t row, const PackedLhs& lhs);
void vnni_gemm(const Tile& tile);
int64_t vnni_dot_loop(int64_t rounds);

namespace {

/// A backend adds its name and what decodes weights.
constexpr Backend vnni_backend() {
  Backend b;
  b.float_ops = &kFloatAvx512;
  b.mr = kVnniMr;
  b.nr = kVnniNr;
  b.gemv_rows = kGemvRows;
  b.quantize_pack_lhs = vnni_quantize_pack_lhs;
  b.pack_rhs = vnni_pack_rhs;
  b.pack_lhs_row = vnni_pack_lhs_row;
  b.gemm = vnni_gemm;
  b.dot_loop = vnni_dot_loop;
  return b;
}

}  // namespace

}  // namespace hqdit
