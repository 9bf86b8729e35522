// SPDX-License-Identifier: Apache-2.0
// NEON with SDOT (Armv8.2 dot product). Left side: int8, one token a row. Panel: int8 [k_padded / 4][16][4].
#include "arch/arm/neon_weights.h"
#include "arch/arm/simd_neon.h"
#include "float_ops/backend.h"
#include "gemm/peak_loop.h"
#include "gemm/processor.h"
#include "gemm/tokens.h"

namespace hqdit {
namespace {

// Four tokens by 16 channels: 16 accumulators and all operands of 4 inputs fit the 32 registers without a spill.
constexpr int kTileRows = 4;

struct Dotprod : Neon {
  static void put16(const Left& left, int64_t row, int64_t k, Int16 v) {
    vst1q_s8(reinterpret_cast<int8_t*>(left.data + row * left.stride + k), narrow(v));
  }
  static void finish_row(const Left& left, int64_t row, int64_t) { left.offset[row] = 0; }
};

/// Rows of four 32-bit elements as columns.
void transpose(int32x4_t v[4]) {
  const int32x4_t a = vtrn1q_s32(v[0], v[1]);
  const int32x4_t b = vtrn2q_s32(v[0], v[1]);
  const int32x4_t c = vtrn1q_s32(v[2], v[3]);
  const int32x4_t d = vtrn2q_s32(v[2], v[3]);
  v[0] = vreinterpretq_s32_s64(vtrn1q_s64(vreinterpretq_s64_s32(a), vreinterpretq_s64_s32(c)));
  v[1] = vreinterpretq_s32_s64(vtrn1q_s64(vreinterpretq_s64_s32(b), vreinterpretq_s64_s32(d)));
  v[2] = vreinterpretq_s32_s64(vtrn2q_s64(vreinterpretq_s64_s32(a), vreinterpretq_s64_s32(c)));
  v[3] = vreinterpretq_s32_s64(vtrn2q_s64(vreinterpretq_s64_s32(b), vreinterpretq_s64_s32(d)));
}

void unpack(const Fp4Weight& weight, int64_t block, int, uint8_t* panel) {
  CodeReader reader(weight, block);
  for (int64_t k = 0; k < padded_inputs(weight.k); k += 16, panel += 256) {
    reader.at(k);
    for (int first = 0; first < 16; first += 4) {
      int32x4_t quads[4];
      for (int i = 0; i < 4; ++i) quads[i] = vreinterpretq_s32_s8(reader.weights(first + i));
      transpose(quads);
      for (int j = 0; j < 4; ++j) vst1q_s32(reinterpret_cast<int32_t*>(panel + 64 * j + 4 * first), quads[j]);
    }
  }
}

void pack(const int8_t* quads, int64_t k_padded, int, uint8_t* panel) {
  std::memcpy(panel, quads, static_cast<size_t>(16 * k_padded));
}

template <int Rows>
void tile_of(const Tile& t) {
  int32x4_t acc[Rows][4];
  unroll<Rows>([&](int r) { unroll<4>([&](int c) { acc[r][c] = vdupq_n_s32(0); }); });
  const int8_t* a = reinterpret_cast<const int8_t*>(t.left);
  const int8_t* w = reinterpret_cast<const int8_t*>(t.panel);
  for (int64_t k = 0; k < t.k_padded; k += 16, a += 16, w += 256) {
    int8x16_t tokens[Rows];
    unroll<Rows>([&](int r) { tokens[r] = vld1q_s8(a + r * t.left_stride); });
    unroll<4>([&](auto quad) {
      unroll<4>([&](int c) {
        const int8x16_t weights = vld1q_s8(w + 64 * quad + 16 * c);
        unroll<Rows>([&](int r) { acc[r][c] = vdotq_laneq_s32(acc[r][c], weights, tokens[r], quad); });
      });
    });
  }
  unroll<Rows>([&](int r) {
    unroll<4>([&](int c) {
      if (t.channels > 4 * c) finish(acc[r][c], t, r, 4 * c);
    });
  });
}

void tile(const Tile& t) {
  with_count<kTileRows>(t.rows, [&](auto rows) { tile_of<rows>(t); });
}

void gemv(const Fp4Weight& weight, int64_t block, const Tile& t) {
  gemv_with(weight, block, t, [](const uint8_t* left, int64_t stride, int row, int64_t k) {
    return vld1q_s8(reinterpret_cast<const int8_t*>(left + row * stride + k));
  });
}

int64_t dot_loop(int64_t rounds) {
  return run_chains<24, int32x4_t>(rounds, 16, [](int32x4_t acc, int32x4_t a) {
    return vdotq_s32(acc, vreinterpretq_s8_s32(a), vreinterpretq_s8_s32(a));
  });
}

constexpr Backend make_backend() {
  Backend b;
  b.name = "dotprod";
  b.supported = has_dotprod;
  b.float_ops = &kFloatNeon;
  b.tile_rows = kTileRows;
  b.gemv_rows = 2;
  b.prepare = prepare_tokens<Dotprod>;
  b.unpack = unpack;
  b.pack = pack;
  b.put = put_values<Dotprod>;
  b.tile = tile;
  b.gemv = gemv;
  b.dot_loop = dot_loop;
  return b;
}

}  // namespace

constexpr Backend kDotprod = make_backend();
static_assert(is_complete(kDotprod));

}  // namespace hqdit
