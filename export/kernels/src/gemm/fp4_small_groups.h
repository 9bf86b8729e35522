// SPDX-License-Identifier: Apache-2.0
// Step 5 of docs/fp4-linear.md for groups of 16 or 32 inputs: eight groups at a time, each in its own 32-bit lane (a
// pair of inputs), so that nothing is ever summed or searched across lanes. Same arithmetic as fp4_groups.h.
#pragma once

#include <cstdint>

#include "gemm/fp4_groups.h"
#include "gemm/unroll.h"

namespace hqdit {
namespace {

/// What each of the eight groups uses.
template <class V>
struct Choice {
  typename V::Int16 r;
  typename V::Int16 reciprocal;
  typename V::Int16 e2m1;  // all ones or all zeros
};

template <class V>
Choice<V> choice_of(typename V::Int16 r, bool e2m1) {
  return {r, V::reciprocals(r), V::set1_16(static_cast<int16_t>(-static_cast<int>(e2m1)))};
}

template <class V, int Vectors>
Choice<V> best_choice(const typename V::Int16 t[Vectors], const Choice<V> choices[4]) {
  typename V::Int16 r16[4];
  typename V::PairSums error[4];
  unroll<4>([&](int c) {
    r16[c] = V::times16(choices[c].r);
    error[c] = V::no_pair_sums();
  });
  for (int i = 0; i < Vectors; ++i) {
    const typename V::Int16 magnitude = V::abs16(t[i]);
    const typename V::Int16 quarter = V::quarter(magnitude);
    unroll<4>([&](int c) {
      const typename V::Int16 steps = V::divide(quarter, choices[c].reciprocal);
      const bool e2m1 = c == kE2m1Whole || c == kE2m1Less;
      const typename V::Int16 grid = e2m1 ? V::e2m1_grid(steps) : V::e1m2_grid(steps);
      error[c] = V::add_pair_squares(error[c], V::subtract(magnitude, V::multiply(grid, r16[c])));
    });
  }
  Choice<V> best = choices[0];
  unroll<3>([&](int i) {
    const Choice<V>& other = choices[i + 1];
    const typename V::Int16 better = V::less(error[i + 1], error[0]);
    error[0] = V::smaller(error[i + 1], error[0]);
    best.r = V::blend(better, other.r, best.r);
    best.reciprocal = V::blend(better, other.reciprocal, best.reciprocal);
    best.e2m1 = V::blend(better, other.e2m1, best.e2m1);
  });
  return best;
}

/// Groups of 16 * Halves inputs from t[k] on, eight at most, up to `end`.
template <class V, int Halves>
void quantize_eight_groups(const int16_t* t, int64_t k, int64_t end, bool e2m1_only, const PackedLhs& lhs,
                           int64_t row) {
  constexpr int kVectors = 8 * Halves;
  typename V::Int16 pairs[kVectors];
  const auto place = [&](int group, int half) { return k + 16 * (group * Halves + half); };
  typename V::Int16 largest = V::zero16();
  for (int half = 0; half < Halves; ++half) {
    for (int group = 0; group < 8; ++group) {
      const bool exists = place(group, half) < end;
      pairs[8 * half + group] = exists ? V::load16(t + place(group, half)) : V::zero16();
    }
    V::transpose_pairs(pairs + 8 * half);
    for (int i = 0; i < 8; ++i) largest = V::max16(largest, V::abs16(pairs[8 * half + i]));
  }
  typename V::Int16 r1;
  typename V::Int16 r2;
  V::smallest_multipliers(V::max_of_pair(largest), r1, r2);
  Choice<V> best = choice_of<V>(r1, true);
  if (!e2m1_only) {
    const typename V::Int16 one = V::set1_16(1);
    const Choice<V> choices[4] = {best, choice_of<V>(r2, false),
                                  choice_of<V>(V::max16(one, V::subtract(r1, one)), true),
                                  choice_of<V>(V::max16(one, V::subtract(r2, one)), false)};
    best = best_choice<V, kVectors>(pairs, choices);
  }
  for (int half = 0; half < Halves; ++half) {
    typename V::Int16* part = pairs + 8 * half;
    for (int i = 0; i < 8; ++i) {
      const typename V::Int16 steps = V::divide(V::quarter(V::abs16(part[i])), best.reciprocal);
      const typename V::Int16 grid = V::blend(best.e2m1, V::e2m1_grid(steps), V::e1m2_grid(steps));
      part[i] = V::copy_sign(V::multiply(grid, best.r), part[i]);
    }
    V::transpose_pairs(part);
    for (int group = 0; group < 8; ++group) {
      if (place(group, half) < end) V::pack16(lhs, row, place(group, half), part[group]);
    }
  }
}

}  // namespace
}  // namespace hqdit
