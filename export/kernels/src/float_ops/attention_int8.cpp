// SPDX-License-Identifier: Apache-2.0
// Attention with both products in int8, by the tiles that fp4_linear runs on.
#include <algorithm>
#include <cmath>
#include <type_traits>

#include "float_ops/backend.h"
#include "float_ops/heads.h"
#include "float_ops/parallel.h"
#include "gemm/backend.h"
#include "gemm/lattice.h"
#include "gemm/slot_memory.h"
#include "hqdit/float_ops.h"

namespace hqdit {
namespace {

/// Query rows that are in flight together; their scores stay in the caches.
constexpr int64_t kRows = 32;

/// The packed LHS of one of the three products: kRows rows.
struct Rows {
  PackedLhs lhs;
  int64_t k_padded;
};

/// One thread's memory, carved from `memory` in the order of use; with nullptr it only counts.
struct Scratch {
  int64_t depth, keys, columns, width;  ///< head_dim as inputs; tokens as inputs, and to 16; head_dim to 16
  int8_t *k_quads, *v_quads;
  uint8_t *k_panels, *v_panels;
  float *k_scale, *no_bias, *v_scale, *v_bias;
  Rows q, weights;
  float *scores, *factor, *product, *lhs_scratch;
  size_t bytes = 0;

  Scratch(const AttentionShape& shape, uint8_t* memory) {
    const Backend& isa = backend();
    depth = packed_inputs(isa, shape.head_dim);
    keys = packed_inputs(isa, shape.tokens);
    columns = round_up(shape.tokens, 16);
    width = round_up(shape.head_dim, 16);
    const auto take = [&](auto*& pointer, int64_t count) {
      using T = std::remove_reference_t<decltype(*pointer)>;
      pointer = reinterpret_cast<T*>(memory + bytes);
      bytes += static_cast<size_t>(round_up(count * static_cast<int64_t>(sizeof(T)), 64));
    };
    take(k_quads, columns * depth);
    take(v_quads, width * keys);
    take(k_panels, columns / 16 * panel_bytes(isa, depth));
    take(v_panels, width / 16 * panel_bytes(isa, keys));
    take(k_scale, columns);
    take(no_bias, columns);
    take(v_scale, width);
    take(v_bias, width);
    for (Rows* rows : {&q, &weights}) {
      rows->k_padded = rows == &q ? depth : keys;
      rows->lhs.stride = lhs_stride(isa, rows->k_padded);
      take(rows->lhs.data, kRows / isa.mr_packed * rows->lhs.stride);
      take(rows->lhs.scale, kRows);
      take(rows->lhs.offset, kRows);
    }
    take(scores, kRows * keys);
    take(factor, kRows);
    take(product, kRows * width);
    take(lhs_scratch, static_cast<int64_t>(quantize_pack_scratch(depth) / sizeof(float)));
  }
};

/// Calls body(first block, blocks) for the panels of `blocks` 16-channel blocks, about equally wide.
template <class Body>
void each_panel(int64_t blocks, const Body& body) {
  const int64_t most = backend().nr / 16;
  const int64_t panels = (blocks + most - 1) / most;
  for (int64_t p = 0; p < panels; ++p) {
    const int64_t first = blocks * p / panels;
    body(first, static_cast<int>(blocks * (p + 1) / panels - first));
  }
}

void pack_panels(const int8_t* quads, int64_t blocks, int64_t k_padded, uint8_t* panels) {
  const Backend& isa = backend();
  each_panel(blocks, [&](int64_t first, int count) {
    isa.pack_rhs(quads + first * 16 * k_padded, k_padded, count, panels + first * panel_bytes(isa, k_padded));
  });
}

/// out [rows][channels] = a.lhs times the panels.
void multiply(const Rows& a, int64_t rows, const uint8_t* panels, int64_t channels, const float* scale,
              const float* bias, float* out, int64_t out_stride) {
  const Backend& isa = backend();
  each_panel((channels + 15) / 16, [&](int64_t first, int count) {
    for (int64_t row = 0; row < rows; row += isa.mr) {
      Tile tile{};
      tile.lhs = a.lhs.data + row / isa.mr_packed * a.lhs.stride;
      tile.lhs_stride = a.lhs.stride;
      tile.token_scale = a.lhs.scale + row;
      tile.offset = a.lhs.offset + row;
      tile.panel = panels + first * panel_bytes(isa, a.k_padded);
      tile.k_padded = a.k_padded;
      tile.scale = scale + 16 * first;
      tile.bias = bias + 16 * first;
      tile.out = out + row * out_stride + 16 * first;
      tile.out_stride = out_stride;
      tile.channels = std::min<int64_t>(channels - 16 * first, 16 * count);
      tile.rows = static_cast<int>(std::min<int64_t>(isa.mr, rows - row));
      tile.blocks = count;
      isa.gemm(tile);
    }
  });
}

struct Worker {
  Scratch s;

  void pack(const Head& head) const;
  void attend(const Head& head, int64_t begin, int64_t end) const;
};

void Worker::pack(const Head& head) const {
  // Scores in units of log2: the softmax is the same, and its exponential needs no product of its own.
  const float factor = static_cast<float>(1.4426950408889634 / std::sqrt(static_cast<double>(head.head_dim)));
  const Int8Head& isa = float_backend().int8;
  isa.quantize_keys(head, factor, s.depth, s.k_quads, s.k_scale);
  isa.quantize_values(head, s.keys, s.v_quads, s.v_scale, s.v_bias);
  pack_panels(s.k_quads, s.columns / 16, s.depth, s.k_panels);
  pack_panels(s.v_quads, s.width / 16, s.keys, s.v_panels);
}

void Worker::attend(const Head& head, int64_t begin, int64_t end) const {
  const Backend& isa = backend();
  const Int8Head& step = float_backend().int8;
  const TokenStep queries{nullptr, head.head_dim, s.depth, factor_rotation(1), Activation::kInt8, s.depth};
  for (int64_t first = begin; first < end; first += kRows) {
    const int64_t rows = std::min(kRows, end - first);
    for (int64_t r = 0; r < rows; r += kRowsAhead) {
      const int64_t count = std::min(kRowsAhead, rows - r);
      for (int64_t i = 0; i < count; ++i) prefetch_row(head, head.q, first + r + i);
      isa.quantize_pack_lhs(queries, {head.q + (first + r) * head.stride, head.stride, count}, r, s.q.lhs,
                            s.lhs_scratch);
    }
    multiply(s.q, rows, s.k_panels, s.columns, s.k_scale, s.no_bias, s.scores, s.keys);
    step.softmax(s.scores, s.keys, rows, head.tokens, s.factor);
    for (int64_t r = 0; r < rows; ++r) isa.pack_lhs_row(s.scores + r * s.keys, s.keys, r, s.weights.lhs);
    multiply(s.weights, rows, s.v_panels, head.head_dim, s.v_scale, s.v_bias, s.product, s.width);
    float_backend().scale_rows(
        {s.product, s.width, s.factor, head.out + first * head.out_stride, head.out_stride, rows, head.head_dim});
  }
}

SlotMemory own_memory(const AttentionShape& shape, const ParallelFor& parallel) {
  return {split_heads(shape, parallel).slots, Scratch(shape, nullptr).bytes};
}

}  // namespace

size_t attention_int8_workspace(const AttentionShape& shape, const ParallelFor& parallel) {
  return own_memory(shape, parallel).total();
}

void attention_int8(const AttentionShape& shape, const float* qkv, float* out, void* workspace,
                    const ParallelFor& parallel) {
  const SlotMemory own = own_memory(shape, parallel);
  each_head(shape, qkv, out, parallel, [&](int64_t slot) {
    const Worker worker{Scratch(shape, own.at<uint8_t>(workspace, slot))};
    std::fill_n(worker.s.no_bias, worker.s.columns, -0.0f);
    std::fill_n(worker.s.weights.lhs.scale, kRows, 1.0f);
    // What lies behind the last key meets a value of zero, but must be a number.
    std::fill_n(worker.s.scores, kRows * worker.s.keys, 0.0f);
    return worker;
  });
}

}  // namespace hqdit
