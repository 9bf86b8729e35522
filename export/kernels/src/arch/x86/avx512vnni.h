// SPDX-License-Identifier: Apache-2.0
// What the backend with AVX-512 VBMI takes from the one that has VNNI alone: all but decoding.
#pragma once

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

}  // namespace hqdit
