// SPDX-License-Identifier: Apache-2.0
// One attention head over the F32x16 of the vector_*.h included before. docs/float-ops.md fixes every rounding.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>

#include "float_ops/backend.h"
#include "float_ops/kernels.h"
#include "float_ops/product.h"
#include "gemm/unroll.h"

namespace hqdit {
namespace {

void pack_head(const Head& head, const HeadScratch& scratch) {
  pack_transposed({head.k, head.stride, head.tokens, head.head_dim}, scratch.depth, scratch.k);
  for (int64_t d = 0; d < scratch.width; d += 16) {
    const int64_t rest = head.head_dim - d;
    float* to = scratch.v + d * scratch.keys;
    for (int64_t token = 0; token < scratch.keys; ++token, to += 16) {
      const float* v = head.v + token * head.stride + d;
      F32x16 values = splat(0.0f);
      if (token < head.tokens) values = rest < 16 ? load_first(v, rest) : load(v);
      store(to, values);
    }
  }
}

/// Each of `Rows` rows of scores [tokens], `stride` floats apart: <- stored(2^(scores - their maximum)), and stored(0)
/// to the end of the last 16; factor[row] = 1 / sum of the powers. Several rows at once, since each by itself waits for
/// its maximum and its sum.
template <int Rows, typename Stored>
void softmax(float* scores, int64_t stride, int64_t tokens, float* factor, const Stored& stored) {
  const int64_t last = (tokens - 1) / 16 * 16;
  constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();
  F32x16 most[Rows];
  unroll<Rows>([&](int r) {
    most[r] = keep_first(load(scores + r * stride + last), tokens - last, kMinusInfinity);
    store(scores + r * stride + last, most[r]);
  });
  for (int64_t i = 0; i < last; i += 16) {
    unroll<Rows>([&](int r) { most[r] = max(most[r], load(scores + r * stride + i)); });
  }
  F32x16 maximum[Rows];
  F32x16 total[Rows];
  unroll<Rows>([&](int r) {
    maximum[r] = splat(largest(most[r]));
    total[r] = splat(0.0f);
  });
  for (int64_t i = 0; i <= last; i += 16) {
    unroll<Rows>([&](int r) {
      const F32x16 weight = exp2_below_128(sub(load(scores + r * stride + i), maximum[r]));
      total[r] = add(total[r], weight);
      store(scores + r * stride + i, stored(weight));
    });
  }
  unroll<Rows>([&](int r) { factor[r] = 1.0f / sum(total[r]); });
}

/// The same for any number of rows.
template <typename Stored>
void softmax_of(float* scores, int64_t stride, int64_t rows, int64_t tokens, float* factor, const Stored& stored) {
  constexpr int kTogether = 4;
  int64_t r = 0;
  for (; r + kTogether <= rows; r += kTogether) {
    softmax<kTogether>(scores + r * stride, stride, tokens, factor + r, stored);
  }
  for (; r < rows; ++r) softmax<1>(scores + r * stride, stride, tokens, factor + r, stored);
}

void scale_rows(const ScaledRows& rows) {
  for (int64_t r = 0; r < rows.rows; ++r) {
    const float* x = rows.x + r * rows.stride;
    float* out = rows.out + r * rows.out_stride;
    const F32x16 factor = splat(rows.factor[r]);
    by_sixteen(
        rows.columns, [&](int64_t i) { store(out + i, mul(load(x + i), factor)); },
        [&](int64_t i, int64_t rest) { store_first(out + i, mul(load(x + i), factor), rest); });
  }
}

void attend(const Head& head, const HeadScratch& s, int64_t begin, int64_t end) {
  // Scores in units of log2: the softmax is the same, and its exponential needs no product of its own.
  const float scale = static_cast<float>(1.4426950408889634 / __builtin_sqrt(static_cast<double>(head.head_dim)));
  for (int64_t first = begin; first < end; first += HeadScratch::kRows) {
    const int64_t rows = end - first < HeadScratch::kRows ? end - first : HeadScratch::kRows;
    for (int64_t r = 0; r < rows; ++r) {
      const float* q = head.q + (first + r) * head.stride;
      float* to = s.q + r * s.depth;
      for (int64_t d = 0; d < head.head_dim; ++d) to[d] = q[d] * scale;
      for (int64_t d = head.head_dim; d < s.depth; ++d) to[d] = 0.0f;
    }
    const Product scores{s.depth, s.q, s.depth, s.k, s.depth * 16, s.scores, s.score_stride};
    multiply(rows, s.score_stride / 16, scores);
    softmax_of(s.scores, s.score_stride, rows, head.tokens, s.factor, [](F32x16 weight) { return weight; });
    const Product values{s.keys, s.scores, s.score_stride, s.v, s.keys * 16, s.product, s.width};
    multiply(rows, s.width / 16, values);
    scale_rows(
        {s.product, s.width, s.factor, head.out + first * head.out_stride, head.out_stride, rows, head.head_dim});
  }
}

}  // namespace
}  // namespace hqdit
