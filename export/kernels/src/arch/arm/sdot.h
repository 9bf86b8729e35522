// SPDX-License-Identifier: Apache-2.0
// For processors with SDOT: what gemv adds up products by.
#pragma once

#include <arm_neon.h>

namespace hqdit {
namespace {

struct Sdot {
  /// acc + the 16 products, four partial sums.
  static int32x4_t multiply_add(int32x4_t acc, int8x16_t weights, int8x16_t token) {
    return vdotq_s32(acc, weights, token);
  }
};

}  // namespace
}  // namespace hqdit
