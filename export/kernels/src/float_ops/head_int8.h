// SPDX-License-Identifier: Apache-2.0
// The float half of attention_int8 over the F32x16 of the vector_*.h included before; float_ops/head.h comes before it
// too. docs/float-ops.md fixes every rounding.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

#include "float_ops/backend.h"
#include "float_ops/head.h"

namespace hqdit {
namespace {

/// The step of the int8 grid that `amax` is the end of, and its inverse; zero both where nothing can be rounded.
struct Int8Grid {
  float scale = 0.0f;
  float inverse = 0.0f;

  /// `poison` is the sum of x - x over all x: zero unless one is NaN or infinite.
  Int8Grid(float amax, float poison) {
    if (!(poison == 0.0f)) {
      constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
      scale = kNaN;
    } else if (amax >= 0x1p-100f) {
      scale = amax / 127.0f;
      inverse = 127.0f / amax;
    }
  }
};

/// A weight w of the softmax, 0 to 1, is the int8 number 2 kWeightCenter w - kWeightCenter: all of its range.
constexpr float kWeightCenter = 127.0f;

inline F32x16 magnitude(F32x16 x) { return max(x, sub(splat(0.0f), x)); }

void quantize_keys(const Head& head, float factor, int64_t depth, int8_t* quads, float* scale) {
  for (int64_t token = 0; token < (head.tokens + 15) / 16 * 16; ++token) {
    alignas(16) int8_t row[128] = {};
    scale[token] = 0.0f;
    if (token < head.tokens) {
      prefetch_row(head, head.k, token);
      const float* k = head.k + token * head.stride;
      F32x16 most = splat(0.0f);
      F32x16 poison = splat(0.0f);
      const auto look = [&](F32x16 x) {
        most = max(most, magnitude(x));
        poison = add(poison, sub(x, x));
      };
      by_sixteen(
          head.head_dim, [&](int64_t i) { look(load(k + i)); },
          [&](int64_t i, int64_t rest) { look(load_first(k + i, rest)); });
      const Int8Grid grid(largest(most), sum(poison));
      scale[token] = grid.scale * factor;
      const F32x16 inverse = splat(grid.inverse);
      if (grid.inverse > 0.0f) {
        by_sixteen(
            head.head_dim, [&](int64_t i) { store_int8(row + i, mul(load(k + i), inverse)); },
            [&](int64_t i, int64_t rest) { store_int8(row + i, mul(load_first(k + i, rest), inverse)); });
      }
    }
    int8_t* to = quads + token / 16 * 16 * depth + token % 16 * 4;
    for (int64_t d = 0; d < depth; d += 4) std::memcpy(to + 16 * d, row + d, 4);
  }
}

void quantize_values(const Head& head, int64_t keys, int8_t* quads, float* scale, float* bias) {
  // Adding it leaves no bits behind the point.
  const F32x16 shift = splat(0x1.8p23f);
  for (int64_t d = 0; d < head.head_dim; d += 16, quads += 16 * keys) {
    const int64_t rest = head.head_dim - d;
    const auto values = [&](int64_t token) {
      const float* v = head.v + token * head.stride + d;
      return rest < 16 ? load_first(v, rest) : load(v);
    };
    F32x16 most = splat(0.0f);
    F32x16 poison = splat(0.0f);
    for (int64_t token = 0; token < head.tokens; ++token) {
      if (d == 0) prefetch_row(head, head.v, token);
      most = max(most, magnitude(values(token)));
      poison = add(poison, sub(values(token), values(token)));
    }
    float amax[16];
    float sums[16];
    float inverse[16];
    store(amax, most);
    store(sums, poison);
    for (int i = 0; i < 16; ++i) {
      const Int8Grid grid(amax[i], sums[i]);
      scale[d + i] = grid.scale;
      inverse[i] = grid.inverse;
    }
    const F32x16 inverses = load(inverse);
    F32x16 total = splat(0.0f);
    for (int64_t token = 0; token < keys; token += 4) {
      F32x16 rows[4];
      for (int64_t j = 0; j < 4; ++j) {
        rows[j] = splat(0.0f);
        if (token + j < head.tokens) rows[j] = sub(add(mul(values(token + j), inverses), shift), shift);
        total = add(total, rows[j]);
      }
      store_quads(quads + 16 * token, rows);
    }
    store(bias + d, mul(mul(total, splat(kWeightCenter)), load(scale + d)));
  }
}

void softmax_int8(float* scores, int64_t stride, int64_t rows, int64_t tokens, float* factor) {
  const F32x16 range = splat(2.0f * kWeightCenter);
  const F32x16 center = splat(-kWeightCenter);
  softmax_of(scores, stride, rows, tokens, factor, [&](F32x16 weight) { return fma(weight, range, center); });
  for (int64_t r = 0; r < rows; ++r) factor[r] *= 1.0f / (2.0f * kWeightCenter);
}

}  // namespace
}  // namespace hqdit
