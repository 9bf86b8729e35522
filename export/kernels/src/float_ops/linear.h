// SPDX-License-Identifier: Apache-2.0
// A linear layer in float32 over the F32x16 of the vector_*.h included before. docs/float-ops.md fixes every
// rounding.
#pragma once

#include <cstdint>
#include <cstring>

#include "float_ops/backend.h"
#include "float_ops/product.h"

namespace hqdit {
namespace {

inline void copy(float* to, const float* from, int64_t count) {
  std::memcpy(to, from, static_cast<size_t>(count) * sizeof(float));
}

/// Zeros to[begin .. end).
inline void clear(float* to, int64_t begin, int64_t end) {
  for (int64_t i = begin; i < end; ++i) to[i] = 0.0f;
}

void pack_weight(const LinearBlock& block) {
  pack_transposed({block.weight, block.inputs, block.columns, block.inputs}, block.depth, block.packed);
}

void linear_rows(const LinearBlock& b, const float* x, int64_t rows, float* out, int64_t out_stride) {
  constexpr int64_t kStride = LinearBlock::kColumns;
  const int64_t with_bias = b.bias ? b.columns : 0;
  for (int64_t first = 0; first < rows; first += LinearBlock::kRows) {
    const int64_t count = rows - first < LinearBlock::kRows ? rows - first : LinearBlock::kRows;
    for (int64_t r = 0; r < count; ++r) {
      copy(b.x + r * b.depth, x + (first + r) * b.inputs, b.inputs);
      clear(b.x + r * b.depth, b.inputs, b.depth);
      if (b.bias) copy(b.sums + r * kStride, b.bias, b.columns);
      clear(b.sums + r * kStride, with_bias, kStride);
    }
    multiply(count, (b.columns + 15) / 16, {b.depth, b.x, b.depth, b.packed, b.depth * 16, b.sums, kStride, true});
    for (int64_t r = 0; r < count; ++r) copy(out + (first + r) * out_stride, b.sums + r * kStride, b.columns);
  }
}

}  // namespace
}  // namespace hqdit
