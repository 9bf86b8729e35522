// SPDX-License-Identifier: Apache-2.0
// NEON with SDOT (Armv8.2 dot product). Left side: int8, one token a row. Panel: int8 [k_padded / 4][16][4].
#include "arch/arm/neon_weights.h"
#include "arch/arm/simd_neon.h"
#include "gemm/tokens.h"

#if defined(__linux__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#elif defined(__APPLE__)
#include <sys/sysctl.h>
#endif

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
  static constexpr void (*kKernels[kTileRows])(const Tile&) = {tile_of<1>, tile_of<2>, tile_of<3>, tile_of<4>};
  kKernels[t.rows - 1](t);
}

void gemv(const Fp4Weight& weight, int64_t block, const Tile& t) {
  gemv_with(weight, block, t, [](const uint8_t* left, int64_t stride, int row, int64_t k) {
    return vld1q_s8(reinterpret_cast<const int8_t*>(left + row * stride + k));
  });
}

int64_t dot_loop(int64_t rounds) {
  constexpr int kChains = 24;
  int32x4_t acc[kChains];
  unroll<kChains>([&](int i) { acc[i] = vdupq_n_s32(i); });
  const int8x16_t a = vdupq_n_s8(3);
  for (int64_t round = 0; round < rounds; ++round) {
    unroll<kChains>([&](int i) { acc[i] = vdotq_s32(acc[i], a, a); });
  }
  unroll<kChains - 1>([&](int i) { acc[0] = veorq_s32(acc[0], acc[i + 1]); });
  volatile int32_t kept = vaddvq_s32(acc[0]);
  static_cast<void>(kept);
  return rounds * kChains * 16;
}

bool supported() {
#if defined(__linux__)
  return (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0;
#elif defined(__APPLE__)
  int has = 0;
  size_t size = sizeof has;
  return sysctlbyname("hw.optional.arm.FEAT_DotProd", &has, &size, nullptr, 0) == 0 && has != 0;
#else
  return false;
#endif
}

}  // namespace

const Backend kDotprod = {
    "dotprod", supported, kTileRows,           1,    2,    1,       1, 32, prepare_tokens<Dotprod>,
    unpack,    pack,      put_values<Dotprod>, tile, gemv, dot_loop};

}  // namespace hqdit
