// SPDX-License-Identifier: Apache-2.0
// NEON with SMMLA (Armv8.6 int8 matrix multiplication): each instruction multiplies 2 tokens by 2 channels over 8
// inputs. Packed LHS: int8 [tokens / 2][k_padded / 8][2][8]. Panel: int8 [k_padded / 8][16][8].
#include "arch/arm/i8mm_loop.h"
#include "arch/arm/neon_backend.h"
#include "arch/arm/sdot.h"
#include "gemm/peak_loop.h"

namespace hqdit {
namespace {

constexpr int kMr = 2 * kLoopPairs;

struct I8mm : Neon, Sdot {
  static void pack16(const PackedLhs& lhs, int64_t row, int64_t k, Int16 v) {
    int8_t* pair = reinterpret_cast<int8_t*>(lhs.data + row / 2 * lhs.stride + 2 * k + row % 2 * 8);
    vst1_s8(pair, vmovn_s16(v.low));
    vst1_s8(pair + 16, vmovn_s16(v.high));
  }
  static void finish_row(const PackedLhs& lhs, int64_t row, int64_t) { lhs.offset[row] = 0; }

  static int8x16_t lhs16(const uint8_t* lhs, int64_t stride, int row, int64_t k) {
    const int8_t* pair = reinterpret_cast<const int8_t*>(lhs + row / 2 * stride + 2 * k + row % 2 * 8);
    return vcombine_s8(vld1_s8(pair), vld1_s8(pair + 16));
  }
};

void decode_rhs_panel(const Fp4Weight& weight, int64_t block, int, uint8_t* panel) {
  CodeReader reader(weight, block);
  for (int64_t k = 0; k < stored_inputs(weight.k); k += 32, panel += 512) {
    reader.at(k);
    unroll<16>([&](int channel) {
      const CodeReader::Weights w = reader.weights(channel);
      unroll<2>([&](int half) {
        int8_t* to = reinterpret_cast<int8_t*>(panel + 256 * half + 8 * channel);
        vst1_s8(to, vget_low_s8(w.half[half]));
        vst1_s8(to + 128, vget_high_s8(w.half[half]));
      });
    });
  }
}

void pack_rhs(const int8_t* quads, int64_t k_padded, int, uint8_t* panel) {
  for (int64_t k = 0; k < k_padded; k += 8, quads += 128, panel += 128) {
    for (int channel = 0; channel < 16; ++channel) {
      std::memcpy(panel + 8 * channel, quads + 4 * channel, 4);
      std::memcpy(panel + 8 * channel + 4, quads + 64 + 4 * channel, 4);
    }
  }
}

/// The two rows of four channels out of two 2 x 2 results.
int32x4_t row_of(int row, int32x4_t ab, int32x4_t cd) {
  const int64x2_t x = vreinterpretq_s64_s32(ab);
  const int64x2_t y = vreinterpretq_s64_s32(cd);
  return vreinterpretq_s32_s64(row == 0 ? vtrn1q_s64(x, y) : vtrn2q_s64(x, y));
}

/// As multiply_6_by_16, for fewer tokens.
template <int Pairs>
void multiply_by_16(const uint8_t* lhs, int64_t stride, const uint8_t* panel, int64_t k_padded, int32_t* sums) {
  int32x4_t acc[Pairs][8];
  unroll<Pairs>([&](int p) { unroll<8>([&](int c) { acc[p][c] = vdupq_n_s32(0); }); });
  const int8_t* w = reinterpret_cast<const int8_t*>(panel);
  for (int64_t k = 0; k < k_padded; k += 8, lhs += 16, w += 128) {
    int8x16_t tokens[Pairs];
    unroll<Pairs>([&](int p) { tokens[p] = vld1q_s8(reinterpret_cast<const int8_t*>(lhs + p * stride)); });
    unroll<8>([&](int c) {
      const int8x16_t weights = vld1q_s8(w + 16 * c);
      unroll<Pairs>([&](int p) { acc[p][c] = vmmlaq_s32(acc[p][c], tokens[p], weights); });
    });
  }
  unroll<2 * Pairs>([&](int r) {
    unroll<4>(
        [&](int c) { vst1q_s32(sums + 16 * r + 4 * c, row_of(r % 2, acc[r / 2][2 * c], acc[r / 2][2 * c + 1])); });
  });
}

void gemm(const Tile& t) {
  static constexpr void (*kKernels[kLoopPairs])(const uint8_t*, int64_t, const uint8_t*, int64_t, int32_t*) = {
      multiply_by_16<1>, multiply_by_16<2>, multiply_6_by_16};
  alignas(64) int32_t sums[16 * kMr];
  kKernels[(t.rows - 1) / 2](t.lhs, t.lhs_stride, t.panel, t.k_padded, sums);
  finish_rows<4>(t, 0, sums);
}

int64_t dot_loop(int64_t rounds) {
  return run_chains<24, int32x4_t>(rounds, 32, [](int32x4_t acc, int32x4_t a) {
    return vmmlaq_s32(acc, vreinterpretq_s8_s32(a), vreinterpretq_s8_s32(a));
  });
}

constexpr Backend make_backend() {
  Backend b = neon_backend<I8mm>();
  b.name = "i8mm";
  b.supported = has_i8mm;
  b.mr = kMr;
  b.mr_packed = 2;
  b.decode_rhs_panel = decode_rhs_panel;
  b.pack_rhs = pack_rhs;
  b.gemm = gemm;
  b.dot_loop = dot_loop;
  return b;
}

}  // namespace

constexpr Backend kI8mm = make_backend();
static_assert(is_complete(kI8mm));

}  // namespace hqdit
