// SPDX-License-Identifier: Apache-2.0
// What one instruction set provides. The driver (fp4_linear.cpp) splits the work and owns the memory; a backend
// computes on it. Names are those of other GEMM libraries: the left-hand side (LHS) is tokens, the right-hand side
// (RHS) weights; docs/glossary.md. docs/fp4-linear.md has the arithmetic.
#pragma once

#include <cstddef>
#include <cstdint>

#include "gemm/hadamard.h"
#include "hqdit/fp4_linear.h"

namespace hqdit {

/// Steps 1 and 2 of one call.
struct TokenStep {
  const float* pre;  ///< [k] or nullptr
  int64_t k;
  int64_t k_padded;
  Rotation rotation;
  Activation activation;
  int64_t activation_group;
};

/// Tokens [rows][k], `stride` floats apart.
struct TokenRows {
  const float* data;
  int64_t stride;
  int64_t rows;
};

/// Tokens that are between steps 1 and 2 at a time.
constexpr int64_t kTokensTogether = 2;

// Functions of headers are compiled with several instruction sets. Each file has its own, lest a linker take the copy
// of a wider set for all.
namespace {

/// Bytes of scratch that quantize_pack_lhs takes.
constexpr size_t quantize_pack_scratch(int64_t k_padded) {
  return static_cast<size_t>((kTokensTogether + 2) * k_padded) * sizeof(float);
}

}  // namespace

/// The quantized tokens, left-hand side of the product. Row r starts at data + r / mr_packed * stride; the layout
/// inside is the backend's own.
struct PackedLhs {
  uint8_t* data;
  int64_t stride;           ///< bytes
  float* scale;             ///< [rows] token_scale
  int32_t* offset;          ///< [rows] what the backend adds to each accumulator of the row
  uint8_t* gemv = nullptr;  ///< rows * k_padded bytes for what Backend::prepare_gemv_lhs adds; 64-byte alignment
};

/// A block of outputs: `rows` tokens by 16 * `blocks` channels, of which the first `channels` exist.
struct Tile {
  const uint8_t* lhs;
  int64_t lhs_stride;
  const float* token_scale;
  const int32_t* offset;
  const uint8_t* gemv;  ///< PackedLhs::gemv
  const uint8_t* panel;
  int64_t k_padded;
  const float* scale;  ///< [16 * blocks]
  const float* bias;   ///< [16 * blocks]; -0.0 where there is none, since y + -0.0 is y, bit for bit
  float* out;
  int64_t out_stride;  ///< floats
  int64_t channels;
  int rows;
  int blocks;
};

struct FloatBackend;

/// Made field by field and checked by is_complete, so that nothing can stand in another's place or be forgotten.
struct Backend {
  const char* name = nullptr;
  bool (*supported)() = nullptr;            ///< of gemm/processor.h
  const FloatBackend* float_ops = nullptr;  ///< float_ops/backend.h
  int mr = 0;                               ///< most tokens of one gemm
  int nr = 16;                              ///< most channels of one panel, whole blocks of 16
  int gemv_rows = 0;                        ///< up to so many tokens go through gemv; 0 if there is none
  int mr_packed = 1;                        ///< tokens that share one run of the packed LHS
  int64_t panel_input_bytes = 16;           ///< bytes, at most, that one input of 16 channels takes in a panel
  int64_t panel_header_bytes = 0;           ///< bytes before the inputs of each 16 channels
  int k_multiple = 32;  ///< packed LHS and panel are padded to a multiple of so many inputs, itself one of 32
  /// Rotates and quantizes tokens into the rows from `row` on. scratch: of quantize_pack_scratch bytes, 64-byte
  /// alignment.
  void (*quantize_pack_lhs)(const TokenStep& step, const TokenRows& x, int64_t row, const PackedLhs& lhs,
                            float* scratch) = nullptr;
  /// Changes all rows, which are packed and at most gemv_rows, for gemv, and may fill lhs.gemv; nullptr where gemv
  /// takes them as they are.
  void (*prepare_gemv_lhs)(const PackedLhs& lhs, int64_t rows, int64_t k_padded) = nullptr;
  /// Decodes `blocks` 16-channel blocks, from `block` on, into panel.
  void (*decode_rhs_panel)(const Fp4Weight& weight, int64_t block, int blocks, uint8_t* panel) = nullptr;
  /// A panel out of int8 that is no weight: quads [blocks][k_padded / 4][16 channels][4 inputs], within +-127.
  void (*pack_rhs)(const int8_t* quads, int64_t k_padded, int blocks, uint8_t* panel) = nullptr;
  /// Row `row` of the packed LHS out of k_padded floats that round to -127 .. 127; lhs.scale is not written.
  void (*pack_lhs_row)(const float* values, int64_t k_padded, int64_t row, const PackedLhs& lhs) = nullptr;
  /// A tile of outputs out of the packed LHS and a panel.
  void (*gemm)(const Tile& tile) = nullptr;
  /// Tokens 0 .. tile.rows - 1 times tile.blocks 16-channel blocks, from `block` on, straight from the codes;
  /// tile.panel is not read.
  void (*gemv)(const Fp4Weight& weight, int64_t block, const Tile& tile) = nullptr;
  /// Runs the dot-product instruction on registers alone; returns the multiply-adds done.
  int64_t (*dot_loop)(int64_t rounds) = nullptr;
};

constexpr bool is_complete([[maybe_unused]] const Backend& b) {
#ifdef __SANITIZE_ADDRESS__  // With it, addresses of functions are no constants to GCC.
  return true;
#else
  return b.name && b.supported && b.float_ops && b.mr > 0 && b.quantize_pack_lhs && b.decode_rhs_panel && b.pack_rhs &&
         b.pack_lhs_row && b.gemm && b.dot_loop && (b.gemv_rows > 0) == (b.gemv != nullptr);
#endif
}

extern const Backend kScalar;
extern const Backend kAvx2;
extern const Backend kAvxVnni;
extern const Backend kAvx512Vnni;
extern const Backend kAvx512Vbmi;
extern const Backend kAmx;
extern const Backend kDotprod;
extern const Backend kI8mm;
extern const Backend kNeon;
extern const Backend kSme2;

/// The backend in use.
const Backend& backend();

/// All that this processor can run, best first; nullptr ends the list.
const Backend* const* available_backends();

namespace {

/// k as the packed LHS and the panels of `isa` have it, not less than the weight's stored_inputs.
inline int64_t packed_inputs(const Backend& isa, int64_t k) {
  return (k + isa.k_multiple - 1) / isa.k_multiple * isa.k_multiple;
}

/// Bytes of a panel for each 16-channel block.
inline int64_t panel_bytes(const Backend& isa, int64_t k_padded) {
  return isa.panel_header_bytes + k_padded * isa.panel_input_bytes;
}

/// PackedLhs::stride for rows of k_padded inputs.
inline int64_t lhs_stride(const Backend& isa, int64_t k_padded) {
  const int64_t bytes = k_padded * isa.mr_packed;
  // Rows a multiple of 512 bytes apart would fall into the same few cache sets.
  return bytes % 512 == 0 ? bytes + 64 : bytes;
}

}  // namespace

}  // namespace hqdit
