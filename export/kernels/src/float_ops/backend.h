// SPDX-License-Identifier: Apache-2.0
// What one instruction set provides for the step operators. float_ops/float_ops.cpp, float_ops/attention.cpp and
// float_ops/linear.cpp split the work and own the memory; the functions here compute on it. All of it comes from
// float_ops/kernels.h, float_ops/head.h, float_ops/linear.h and float_ops/group_norm.h.
#pragma once

#include <cstdint>

namespace hqdit {

/// One head of one image: rows of q, k and v start `stride` floats apart, rows of out `out_stride`.
struct Head {
  const float* q;
  const float* k;
  const float* v;
  float* out;
  int64_t stride;
  int64_t out_stride;
  int64_t tokens;
  int64_t head_dim;
};

constexpr int64_t kRowsAhead = 8;

namespace {

/// Rows of a head lie too far apart for the processor to see which comes next: asks for the one kRowsAhead after
/// `token`.
inline void prefetch_row(const Head& head, const float* rows, int64_t token) {
  constexpr int64_t kCacheLine = 16;
  if (token + kRowsAhead >= head.tokens) return;
  const float* row = rows + (token + kRowsAhead) * head.stride;
  for (int64_t i = 0; i < head.head_dim; i += kCacheLine) __builtin_prefetch(row + i);
}

}  // namespace

/// One thread's memory for a head: floats, each part with 64-byte alignment.
struct HeadScratch {
  /// Query rows that are in flight together; their scores stay in the caches.
  static constexpr int64_t kRows = 24;

  float* k;              ///< [tokens / 16][depth][16]: k transposed, padded with zeros
  float* v;              ///< [head_dim / 16][keys][16], padded with zeros
  float* q;              ///< [kRows][depth]
  float* scores;         ///< [kRows][score_stride]
  float* product;        ///< [kRows][width]
  float* factor;         ///< [kRows]
  int64_t depth;         ///< head_dim padded to 4
  int64_t keys;          ///< tokens padded to 4
  int64_t score_stride;  ///< tokens padded to 16
  int64_t width;         ///< head_dim padded to 16
};

/// out = x times the factor of its row.
struct ScaledRows {
  const float* x;  ///< rows `stride` floats apart, padded to 16
  int64_t stride;
  const float* factor;  ///< [rows]
  float* out;
  int64_t out_stride;
  int64_t rows;
  int64_t columns;
};

struct NormRows {
  const float* x;  ///< [rows][dim]
  const float* shift;
  const float* scale;
  float* out;
  int64_t rows;
  int64_t dim;
  float eps;
};

/// One group of channels of one image.
struct NormGroup {
  const float* x;       ///< [channels][pixels]
  const float* weight;  ///< [channels]
  const float* bias;    ///< [channels]
  float* out;
  int64_t channels;
  int64_t pixels;
  float eps;
  bool silu;                ///< followed by SiLU
  const float* statistics;  ///< mean and variance to take in place of x's own, or nullptr
};

struct GatedRows {
  const float* x;  ///< [rows][dim]
  const float* gate;
  const float* y;
  float* out;
  int64_t rows;
  int64_t dim;
};

/// Up to kColumns outputs of a linear layer, and one thread's memory for them: floats.
struct LinearBlock {
  static constexpr int64_t kColumns = 64;
  /// Rows of x that are in flight together.
  static constexpr int64_t kRows = 24;

  const float* weight;  ///< [columns][inputs]
  const float* bias;    ///< [columns], or nullptr
  int64_t columns;
  int64_t inputs;
  int64_t depth;  ///< inputs padded to 4
  float* packed;  ///< [columns / 16][depth][16]: weight transposed, padded with zeros
  float* x;       ///< [kRows][depth]
  float* sums;    ///< [kRows][kColumns]
};

/// The float half of attention_int8; float_ops/head_int8.h has the functions.
struct Int8Head {
  /// quads [tokens / 16][depth / 4][16][4]: the keys in int8; scale [tokens, padded to 16]: theirs, times `factor`.
  void (*quantize_keys)(const Head& head, float factor, int64_t depth, int8_t* quads, float* scale) = nullptr;
  /// quads [head_dim / 16][keys / 4][16][4]: the values in int8, zeros behind the last; scale [head_dim, padded to 16]:
  /// theirs, by channel; bias, as long: 127 times their sum over the tokens.
  void (*quantize_values)(const Head& head, int64_t keys, int8_t* quads, float* scale, float* bias) = nullptr;
  /// The softmax of rows of scores, `stride` floats apart: each weight w as 254 w - 127, and factor [rows], so that
  /// (sum of these times the values + bias) * factor is the weighted mean.
  void (*softmax)(float* scores, int64_t stride, int64_t rows, int64_t tokens, float* factor) = nullptr;
};

struct FloatBackend {
  /// Fills scratch.k and scratch.v.
  void (*pack_head)(const Head& head, const HeadScratch& scratch) = nullptr;
  /// Query rows [begin, end) of a packed head.
  void (*attend)(const Head& head, const HeadScratch& scratch, int64_t begin, int64_t end) = nullptr;
  Int8Head int8;
  void (*scale_rows)(const ScaledRows& rows) = nullptr;
  void (*norm)(const NormRows& rows) = nullptr;
  void (*gated)(const GatedRows& rows) = nullptr;
  void (*gelu)(const float* x, int64_t count, float* out) = nullptr;
  /// In place; rows start `stride` floats apart.
  void (*gelu_tile)(float* values, int64_t stride, int64_t rows, int64_t columns) = nullptr;
  void (*silu)(const float* x, int64_t count, float* out) = nullptr;
  /// Fills block.packed.
  void (*pack_weight)(const LinearBlock& block) = nullptr;
  /// The block's columns of `rows` rows; rows of x start block.inputs floats apart, rows of out `out_stride`.
  void (*linear)(const LinearBlock& block, const float* x, int64_t rows, float* out, int64_t out_stride) = nullptr;
  void (*group_norm)(const NormGroup& group) = nullptr;
};

extern const FloatBackend kFloatScalar;
extern const FloatBackend kFloatAvx2;
extern const FloatBackend kFloatAvx512;
extern const FloatBackend kFloatNeon;

/// That of the backend in use.
const FloatBackend& float_backend();

}  // namespace hqdit
