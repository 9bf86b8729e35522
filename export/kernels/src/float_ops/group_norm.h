// SPDX-License-Identifier: Apache-2.0
// Group norm, with or without SiLU behind it, over the F32x16 of the vector_*.h included before.
#pragma once

#include <cstdint>

#include "float_ops/backend.h"
#include "float_ops/kernels.h"

namespace hqdit {
namespace {

/// The sum of term(value) over x [count]: in 16 lanes over runs of 4,096, whose sums are added in double. A single
/// chain of float additions over a megapixel would lose half of its digits.
template <typename Term>
inline double sum_in_runs(const float* x, int64_t count, Term term) {
  constexpr int64_t kRun = 4096;
  double total = 0.0;
  for (int64_t begin = 0; begin < count; begin += kRun) {
    const float* run = x + begin;
    F32x16 lanes = splat(0.0f);
    by_sixteen(
        least(kRun, count - begin), [&](int64_t i) { lanes = term(lanes, load(run + i), 16); },
        [&](int64_t i, int64_t rest) { lanes = term(lanes, load_first(run + i, rest), rest); });
    total += static_cast<double>(sum(lanes));
  }
  return total;
}

struct Statistics {
  float mean, variance;
};

inline Statistics own_statistics(const NormGroup& group) {
  const int64_t count = group.channels * group.pixels;
  const auto numbers = static_cast<double>(count);
  const double total = sum_in_runs(group.x, count, [](F32x16 lanes, F32x16 x, int64_t) { return add(lanes, x); });
  const auto average = static_cast<float>(total / numbers);
  const F32x16 mean = splat(average);
  const double squares = sum_in_runs(group.x, count, [&](F32x16 lanes, F32x16 x, int64_t valid) {
    F32x16 centered = sub(x, mean);
    if (valid < 16) centered = keep_first(centered, valid, 0.0f);
    return fma(centered, centered, lanes);
  });
  return {average, static_cast<float>(squares / numbers)};
}

inline void group_norm_group(const NormGroup& group) {
  const Statistics known =
      group.statistics != nullptr ? Statistics{group.statistics[0], group.statistics[1]} : own_statistics(group);
  const F32x16 mean = splat(known.mean);
  const float inverse = 1.0f / __builtin_sqrtf(known.variance + group.eps);

  for (int64_t channel = 0; channel < group.channels; ++channel) {
    const F32x16 scale = splat(inverse * group.weight[channel]);
    const F32x16 shift = splat(group.bias[channel]);
    const float* x = group.x + channel * group.pixels;
    float* out = group.out + channel * group.pixels;
    const auto normed = [&](F32x16 value) { return fma(sub(value, mean), scale, shift); };
    if (group.silu) {
      map_row(x, group.pixels, out, [&](F32x16 value) { return silu(normed(value)); });
    } else {
      map_row(x, group.pixels, out, normed);
    }
  }
}

}  // namespace
}  // namespace hqdit
