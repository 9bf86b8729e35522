// SPDX-License-Identifier: Apache-2.0
// NEON with SDOT (Armv8.2 dot product). Packed LHS: int8 [tokens / 4][k_padded / 4][4][4]. Panel: int8
// [2][k_padded / 4][8 channels][4].
#include "arch/arm/dotprod_loop.h"
#include "arch/arm/neon_backend.h"
#include "arch/arm/sdot.h"
#include "gemm/peak_loop.h"

namespace hqdit {
namespace {

constexpr int kMr = 4 * kLoopPacks;

struct Dotprod : NeonQuads<4>, Sdot {};

void decode_rhs_panel(const Fp4Weight& weight, int64_t block, int, uint8_t* panel) {
  const int64_t k_padded = stored_inputs(weight.k);
  CodeReader reader(weight, block);
  for (int64_t k = 0; k < k_padded; k += 32, panel += 256) {
    reader.at(k);
    for (int first = 0; first < 16; first += 4) {
      reader.four_channels(first, panel + first / 8 * 8 * k_padded + first % 8 * 4, 32);
    }
  }
}

void pack_rhs(const int8_t* quads, int64_t k_padded, int, uint8_t* panel) {
  for (int64_t k = 0; k < k_padded; k += 4, quads += 64, panel += 32) {
    std::memcpy(panel, quads, 32);
    std::memcpy(panel + 8 * k_padded, quads + 32, 32);
  }
}

/// As multiply_12_by_8, for fewer tokens.
template <int Packs>
void multiply_by_8(const uint8_t* lhs, int64_t stride, const uint8_t* panel, int64_t k_padded, int32_t* sums) {
  int32x4_t acc[2][4 * Packs];
  unroll<4 * Packs>([&](int r) { acc[0][r] = acc[1][r] = vdupq_n_s32(0); });
  const int8_t* w = reinterpret_cast<const int8_t*>(panel);
  for (int64_t k = 0; k < k_padded; k += 4, lhs += 16, w += 32) {
    const int8x16_t weights[2] = {vld1q_s8(w), vld1q_s8(w + 16)};
    unroll<Packs>([&](auto p) {
      const int8x16_t tokens = vld1q_s8(reinterpret_cast<const int8_t*>(lhs + p * stride));
      unroll<4>([&](auto r) {
        unroll<2>([&](auto half) {
          int32x4_t& sum = acc[half][4 * p + r];
          sum = vdotq_laneq_s32(sum, weights[half], tokens, r);
        });
      });
    });
  }
  unroll<4 * Packs>([&](int r) {
    vst1q_s32(sums + 8 * r, acc[0][r]);
    vst1q_s32(sums + 8 * r + 4, acc[1][r]);
  });
}

void gemm(const Tile& t) {
  static constexpr void (*kKernels[kLoopPacks])(const uint8_t*, int64_t, const uint8_t*, int64_t, int32_t*) = {
      multiply_by_8<1>, multiply_by_8<2>, multiply_12_by_8};
  alignas(64) int32_t sums[8 * kMr];
  for (int first = 0; first < 16 && first < t.channels; first += 8) {
    kKernels[(t.rows - 1) / 4](t.lhs, t.lhs_stride, t.panel + first * t.k_padded, t.k_padded, sums);
    finish_rows<2>(t, first, sums);
  }
}

int64_t dot_loop(int64_t rounds) {
  return run_chains<24, int32x4_t>(rounds, 16, [](int32x4_t acc, int32x4_t a) {
    return vdotq_s32(acc, vreinterpretq_s8_s32(a), vreinterpretq_s8_s32(a));
  });
}

constexpr Backend make_backend() {
  Backend b = neon_backend<Dotprod>();
  b.name = "dotprod";
  b.supported = has_dotprod;
  b.mr = kMr;
  b.mr_packed = 4;
  b.decode_rhs_panel = decode_rhs_panel;
  b.pack_rhs = pack_rhs;
  b.gemm = gemm;
  b.dot_loop = dot_loop;
  return b;
}

}  // namespace

constexpr Backend kDotprod = make_backend();
static_assert(is_complete(kDotprod));

}  // namespace hqdit
