// SPDX-License-Identifier: Apache-2.0
// What of the sme2 backend runs in streaming mode, and so is compiled for SME2 in a file of its own.
#pragma once

#include <cstdint>

#include "gemm/backend.h"

namespace hqdit {

/// Tokens that share a run of the packed LHS: one vector of the longest streaming mode, two or four of shorter ones.
constexpr int kSmePack = 16;

/// Bytes of a vector in streaming mode; only where the processor has SME.
int64_t sme2_vector_bytes();

/// Backend::gemm. Packed LHS: int8 [tokens / 16][k_padded / 4][16][4]. Panel: int8 [blocks][k_padded / 4][16][4].
void sme2_gemm(const Tile& tile);

/// Backend::dot_loop.
int64_t sme2_dot_loop(int64_t rounds);

}  // namespace hqdit
