// SPDX-License-Identifier: Apache-2.0
// Step 5 of docs/fp4-linear.md on 16 int16 lanes at a time. The decision points of both grids are multiples of 8 r, so
// floor(|t| / 8r) tells the nearest value; V::divide does it with one multiplication, exact for every |t| <= 1920.
#pragma once

#include <cstdint>

#include "gemm/backend.h"

namespace hqdit {
namespace {

struct Multipliers {
  int e2m1[2];  // the smallest that does not clip, and one less
  int e1m2[2];
};

inline Multipliers multipliers_for(int g) {
  const int r1 = g <= 192 ? 1 : (g + 191) / 192;
  const int r2 = g <= 112 ? 1 : (g + 111) / 112;
  return {{r1, r1 > 1 ? r1 - 1 : 1}, {r2, r2 > 1 ? r2 - 1 : 1}};
}

/// One grid with one multiplier, ready for vectors.
template <class V>
struct Lattice {
  typename V::Int16 reciprocal;
  typename V::Int16 r;

  explicit Lattice(int multiplier)
      : reciprocal(V::set1_16(V::kReciprocal[multiplier])), r(V::set1_16(static_cast<int16_t>(multiplier))) {}
};

/// Where `e2m1` candidates and the others stand in the order of the definition, for the tie rule.
enum Order { kE2m1Whole, kE1m2Whole, kE2m1Less, kE1m2Less };

/// Sums of (|t| - 16 a)^2 of the four candidates over [begin, end).
template <class V>
void candidate_errors(const int16_t* t, int64_t begin, int64_t end, const Multipliers& m, uint64_t error[4]) {
  // So many squares of at most 320^2 fit the 32-bit sums.
  constexpr int64_t kRun = 8192;
  const Lattice<V> lattice[4] = {Lattice<V>(m.e2m1[0]), Lattice<V>(m.e1m2[0]), Lattice<V>(m.e2m1[1]),
                                 Lattice<V>(m.e1m2[1])};
  for (int order = 0; order < 4; ++order) error[order] = 0;
  for (int64_t start = begin; start < end; start += kRun) {
    const int64_t stop = end - start < kRun ? end : start + kRun;
    typename V::Squares squares[4] = {V::no_squares(), V::no_squares(), V::no_squares(), V::no_squares()};
    for (int64_t k = start; k < stop; k += 16) {
      const typename V::Int16 magnitude = V::abs16(V::load16(t + k));
      const typename V::Int16 quarter = V::quarter(magnitude);
      for (int order = 0; order < 4; ++order) {
        const typename V::Int16 steps = V::divide(quarter, lattice[order].reciprocal);
        const bool e2m1 = order == kE2m1Whole || order == kE2m1Less;
        const typename V::Int16 grid = e2m1 ? V::e2m1_grid(steps) : V::e1m2_grid(steps);
        const typename V::Int16 point = V::times16(V::multiply(grid, lattice[order].r));
        squares[order] = V::add_squares(squares[order], V::subtract(magnitude, point));
      }
    }
    V::add_sums(squares, error);
  }
}

/// t[begin, end) -> lattice points in the packed LHS; the range is a multiple of 16 with zeros as padding.
template <class V>
void quantize_group(const int16_t* t, int64_t begin, int64_t end, bool e2m1_only, const PackedLhs& lhs, int64_t row) {
  typename V::Int16 largest = V::zero16();
  for (int64_t k = begin; k < end; k += 16) largest = V::max16(largest, V::abs16(V::load16(t + k)));
  const Multipliers m = multipliers_for(V::reduce_max(largest));
  uint64_t best = kE2m1Whole;
  if (!e2m1_only) {
    uint64_t error[4];
    candidate_errors<V>(t, begin, end, m, error);
    // The order in the low bits settles ties.
    uint64_t key = error[0] * 4;
    for (uint64_t order = 1; order < 4; ++order) {
      const uint64_t other = error[order] * 4 + order;
      key = other < key ? other : key;
    }
    best = key & 3;
  }
  const bool e2m1 = best == kE2m1Whole || best == kE2m1Less;
  const Lattice<V> lattice(e2m1 ? m.e2m1[best / 2] : m.e1m2[best / 2]);
  for (int64_t k = begin; k < end; k += 16) {
    const typename V::Int16 value = V::load16(t + k);
    const typename V::Int16 steps = V::divide(V::quarter(V::abs16(value)), lattice.reciprocal);
    // Both grids and a select: which format wins is close to random, a branch would be mispredicted.
    const typename V::Int16 grid = V::select(e2m1, V::e2m1_grid(steps), V::e1m2_grid(steps));
    V::pack16(lhs, row, k, V::copy_sign(V::multiply(grid, lattice.r), value));
  }
}

}  // namespace
}  // namespace hqdit
