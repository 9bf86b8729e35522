// SPDX-License-Identifier: Apache-2.0
// NEON without dot products (Armv8.0: Cortex-A53, A57, A72, A73, Apple's A12). SMULL and SMLAL give sums of two
// products in int16, of which the largest is 2 * 127 * 127 = 32,258 and fits, and SADALP adds them in pairs into int32.
// Packed LHS: int8, one token a row. Panel: int8 [4][k_padded / 16][4 channels][16].
#include "arch/arm/neon_backend.h"
#include "arch/arm/neon_loop.h"
#include "gemm/peak_loop.h"

namespace hqdit {
namespace {

constexpr int kMr = kLoopRows;

struct NeonRows : Neon {
  static void pack16(const PackedLhs& lhs, int64_t row, int64_t k, Int16 v) {
    vst1q_s8(reinterpret_cast<int8_t*>(lhs.data + row * lhs.stride + k), narrow(v));
  }
  static void finish_row(const PackedLhs& lhs, int64_t row, int64_t) { lhs.offset[row] = 0; }

  static int8x16_t lhs16(const uint8_t* lhs, int64_t stride, int row, int64_t k) {
    return vld1q_s8(reinterpret_cast<const int8_t*>(lhs + row * stride + k));
  }
  /// acc + the 16 products, four partial sums.
  static int32x4_t multiply_add(int32x4_t acc, int8x16_t weights, int8x16_t token) {
    const int16x8_t pairs = vmull_s8(vget_low_s8(weights), vget_low_s8(token));
    return vpadalq_s16(acc, vmlal_high_s8(pairs, weights, token));
  }
};

void decode_rhs_panel(const Fp4Weight& weight, int64_t block, int, uint8_t* panel) {
  const int64_t k_padded = stored_inputs(weight.k);
  CodeReader reader(weight, block);
  for (int64_t k = 0; k < k_padded; k += 32, panel += 128) {
    reader.at(k);
    unroll<16>([&](int channel) {
      const int64_t place = channel / 4 * 4 * k_padded + channel % 4 * 16;
      const CodeReader::Weights w = reader.weights(channel);
      unroll<2>([&](int half) { vst1q_s8(reinterpret_cast<int8_t*>(panel + place + 64 * half), w.half[half]); });
    });
  }
}

void pack_rhs(const int8_t* quads, int64_t k_padded, int, uint8_t* panel) {
  for (int64_t k = 0; k < k_padded; k += 4) {
    for (int64_t channel = 0; channel < 16; ++channel, quads += 4) {
      const int64_t place = channel / 4 * 4 * k_padded + k / 16 * 64 + channel % 4 * 16 + k % 16;
      std::memcpy(panel + place, quads, 4);
    }
  }
}

/// As multiply_4_by_4, for fewer tokens.
template <int Rows>
void multiply_by_4(const uint8_t* lhs, int64_t stride, const uint8_t* panel, int64_t k_padded, int32_t* sums) {
  int32x4_t acc[Rows][4];
  unroll<Rows>([&](int r) { unroll<4>([&](int c) { acc[r][c] = vdupq_n_s32(0); }); });
  const int8_t* w = reinterpret_cast<const int8_t*>(panel);
  for (int64_t k = 0; k < k_padded; k += 16, lhs += 16, w += 64) {
    unroll<4>([&](int c) {
      const int8x16_t weights = vld1q_s8(w + 16 * c);
      unroll<Rows>([&](int r) {
        acc[r][c] =
            NeonRows::multiply_add(acc[r][c], weights, vld1q_s8(reinterpret_cast<const int8_t*>(lhs + r * stride)));
      });
    });
  }
  unroll<Rows>([&](int r) {
    vst1q_s32(sums + 4 * r, vpaddq_s32(vpaddq_s32(acc[r][0], acc[r][1]), vpaddq_s32(acc[r][2], acc[r][3])));
  });
}

void gemm(const Tile& t) {
  static constexpr void (*kKernels[kLoopRows])(const uint8_t*, int64_t, const uint8_t*, int64_t, int32_t*) = {
      multiply_by_4<1>, multiply_by_4<2>, multiply_by_4<3>, multiply_4_by_4};
  int32_t sums[4 * kLoopRows];
  for (int first = 0; first < 16 && first < t.channels; first += 4) {
    kKernels[t.rows - 1](t.lhs, t.lhs_stride, t.panel + first * t.k_padded, t.k_padded, sums);
    finish_rows<1>(t, first, sums);
  }
}

int64_t dot_loop(int64_t rounds) {
  return run_chains<24, int16x8_t>(rounds, 8, [](int16x8_t acc, int16x8_t a) {
    const int8x8_t eight = vget_low_s8(vreinterpretq_s8_s16(a));
    return vmlal_s8(acc, eight, eight);
  });
}

constexpr Backend make_backend() {
  Backend b = neon_backend<NeonRows>();
  b.name = "neon";
  b.supported = always;
  b.mr = kMr;
  b.decode_rhs_panel = decode_rhs_panel;
  b.pack_rhs = pack_rhs;
  b.gemm = gemm;
  b.dot_loop = dot_loop;
  return b;
}

}  // namespace

constexpr Backend kNeon = make_backend();
static_assert(is_complete(kNeon));

}  // namespace hqdit
