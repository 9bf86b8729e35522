// SPDX-License-Identifier: Apache-2.0
// The register-tiled float32 product of float_ops/head.h and float_ops/linear.h, over the F32x16 of the vector_*.h
// included before.
#pragma once

#include <cstdint>

#include "gemm/unroll.h"

namespace hqdit {
namespace {

/// out [rows][16 * panels] = lhs [rows][depth] x rhs [panels][depth][16]; depth is a multiple of 4. Every output is
/// one chain of fused multiply-adds in the order of depth, so no tiling and no cut of the depth changes its bits.
struct Product {
  int64_t depth;
  const float* lhs;
  int64_t lhs_stride;
  const float* rhs;
  int64_t panel_stride;
  float* out;
  int64_t out_stride;
  bool resume = false;  ///< go on from what out holds instead of zero
};

template <int Rows, int Columns>
void tile(const Product& p) {
  const float* row[Rows];
  unroll<Rows>([&](auto r) { row[r] = p.lhs + r * p.lhs_stride; });
  const float* column[Columns];
  unroll<Columns>([&](auto c) { column[c] = p.rhs + c * p.panel_stride; });
  F32x16 sums[Rows][Columns];
  const auto each_sum = [&](auto function) {
    unroll<Rows>([&](auto r) { unroll<Columns>([&](auto c) { function(r, c, sums[r][c]); }); });
  };
  if (p.resume) {
    each_sum([&](auto r, auto c, F32x16& sum) { sum = load(p.out + r * p.out_stride + 16 * c); });
  } else {
    each_sum([&](auto, auto, F32x16& sum) { sum = splat(0.0f); });
  }
  for (int64_t i = 0; i < p.depth; i += 4) {
    Quad lhs[Rows];
    unroll<Rows>([&](auto r) { lhs[r] = load_quad(row[r] + i); });
    unroll<4>([&](auto lane) {
      F32x16 rhs[Columns];
      unroll<Columns>([&](auto c) { rhs[c] = load(column[c] + 16 * lane); });
      each_sum([&](auto r, auto c, F32x16& sum) { sum = fma_lane<lane>(lhs[r], rhs[c], sum); });
    });
    unroll<Columns>([&](auto c) { column[c] += 64; });
  }
  each_sum([&](auto r, auto c, F32x16& sum) { store(p.out + r * p.out_stride + 16 * c, sum); });
}

template <int Rows, int Columns>
void tile_of(int64_t rows, int64_t columns, const Product& p) {
  if constexpr (Rows > 1) {
    if (rows < Rows) return tile_of<Rows - 1, Columns>(rows, columns, p);
  }
  if constexpr (Columns > 1) {
    if (columns < Columns) return tile_of<Rows, Columns - 1>(rows, columns, p);
  }
  tile<Rows, Columns>(p);
}

/// The next of as few and as equal parts as possible, none above `most`: a thin last tile would wait for its own sums.
inline int64_t next_part(int64_t rest, int64_t most) {
  const int64_t parts = (rest + most - 1) / most;
  return (rest + parts - 1) / parts;
}

void multiply(int64_t rows, int64_t panels, const Product& whole) {
  for (int64_t panel = 0, columns; panel < panels; panel += columns) {
    columns = next_part(panels - panel, kNr / 16);
    // 16 KiB of the RHS stay in the first-level cache while all rows pass.
    const int64_t most = 256 / columns / 4 * 4;
    for (int64_t begin = 0; begin < whole.depth; begin += most) {
      Product p = whole;
      p.depth = whole.depth - begin < most ? whole.depth - begin : most;
      p.rhs = whole.rhs + panel * whole.panel_stride + 16 * begin;
      p.resume = whole.resume || begin > 0;
      for (int64_t row = 0, count; row < rows; row += count) {
        count = next_part(rows - row, kMr);
        p.lhs = whole.lhs + row * whole.lhs_stride + begin;
        p.out = whole.out + row * whole.out_stride + 16 * panel;
        tile_of<kMr, kNr / 16>(count, columns, p);
      }
    }
  }
}

struct Matrix {
  const float* from;
  int64_t stride;
  int64_t rows;
  int64_t columns;
};

/// The RHS of a product with the transpose of `m`: [rows / 16][depth][16], padded with zeros.
void pack_transposed(const Matrix& m, int64_t depth, float* panels) {
  for (int64_t row = 0; row < (m.rows + 15) / 16 * 16; row += 4) {
    float* to = panels + row / 16 * depth * 16 + row % 16;
    int64_t d = 0;
    if (row + 4 <= m.rows) {
      for (; d + 4 <= m.columns; d += 4) transpose_quads(m.from + row * m.stride + d, m.stride, to + 16 * d);
    }
    for (; d < depth; ++d) {
      for (int64_t i = 0; i < 4; ++i) {
        const bool exists = row + i < m.rows && d < m.columns;
        to[16 * d + i] = exists ? m.from[(row + i) * m.stride + d] : 0.0f;
      }
    }
  }
}

}  // namespace
}  // namespace hqdit
