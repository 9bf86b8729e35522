// SPDX-License-Identifier: Apache-2.0
// Four operands of the left-hand side of a product (LHS) that stay in memory, for the vectors that are included before:
// a broadcast costs them no more than a load. NEON's multiply by a lane of a register and have a Quad of their own.
#pragma once

namespace hqdit {
namespace {

/// Four consecutive operands of the LHS.
struct Quad {
  const float* from;
};
inline Quad load_quad(const float* from) { return {from}; }

/// a[Lane] * b + c, rounded once.
template <int Lane, class Vector>
inline Vector fma_lane(Quad a, const Vector& b, const Vector& c) {
  return fma(splat(a.from[Lane]), b, c);
}

}  // namespace
}  // namespace hqdit
