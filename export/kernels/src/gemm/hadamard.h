// SPDX-License-Identifier: Apache-2.0
// Hadamard rotations of order m * 2^p, m in {1, 12, 28, 36}. docs/fp4-linear.md, step 2 and "Paley's second
// construction".
#pragma once

#include <cstdint>

namespace hqdit {

struct Rotation {
  int64_t m;             ///< 1, 12, 28 or 36; 0 if the order is not supported
  int64_t power;         ///< 2^p
  const float* paley_t;  ///< H_m transposed, [m][m] of +1 and -1 (column j of H_m is contiguous); nullptr for m = 1
};

/// The factors of `order`.
Rotation factor_rotation(int64_t order);

/// block [m * power] <- block * H, in the order of operations that the definition fixes. spare [m * power].
void rotate_block(const Rotation& rotation, float* block, float* spare);

}  // namespace hqdit
