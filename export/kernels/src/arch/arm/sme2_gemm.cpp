// SPDX-License-Identifier: Apache-2.0
// SMOPA: the outer product of a vector of tokens and one of channels, four inputs each, added to a tile of the ZA
// array. Four tiles take two vectors of each side, four loads for four products. Written for any vector of 128 to 512
// bits.
#include "arch/arm/sme2_gemm.h"

#include <arm_sme.h>

namespace hqdit {
namespace {

/// Sixteen rows of one side, four inputs each, are 64 bytes, whatever the length of a vector.
constexpr int64_t kQuad = 64;

/// Where the vector that begins with row `index` of one side has its first inputs; packs are `stride` bytes apart.
inline const int8_t* vector_at(const uint8_t* side, int64_t stride, int64_t index) __arm_streaming_compatible {
  return reinterpret_cast<const int8_t*>(side) + index / kSmePack * stride + index % kSmePack * 4;
}

/// The outputs of tile `Za`, whose first ones are those of `row` and `channel`.
template <int Za>
inline void finish(const Tile& t, int64_t row, int64_t channel) __arm_streaming __arm_in("za") {
  const svbool_t all = svptrue_b32();
  const svbool_t exist = svwhilelt_b32_s64(channel, t.channels);
  if (!svptest_any(all, exist)) return;
  const svfloat32_t scale = svld1_f32(exist, t.scale + channel);
  const svfloat32_t bias = svld1_f32(exist, t.bias + channel);
  const int64_t rows = static_cast<int64_t>(svcntw());
  for (int64_t i = 0; i < rows && row + i < t.rows; ++i) {
    const svint32_t acc = svread_hor_za32_s32_m(svdup_n_s32(0), all, Za, static_cast<uint32_t>(i));
    svfloat32_t y = svmul_f32_x(all, svcvt_f32_s32_x(all, acc), scale);
    y = svadd_f32_x(all, svmul_n_f32_x(all, y, t.token_scale[row + i]), bias);
    svst1_f32(exist, t.out + (row + i) * t.out_stride + channel, y);
  }
}

}  // namespace

int64_t sme2_vector_bytes() { return static_cast<int64_t>(svcntsb()); }

__arm_locally_streaming __arm_new("za") void sme2_gemm(const Tile& t) {
  const int64_t vector = static_cast<int64_t>(svcntw());
  const int64_t block_bytes = kSmePack * t.k_padded;
  const svbool_t all = svptrue_b8();
  for (int64_t row = 0; row < t.rows; row += 2 * vector) {
    const int8_t* const a0 = vector_at(t.lhs, t.lhs_stride, row);
    // Where there is no second vector, the first stands in; its outputs are not written.
    const int8_t* const a1 = row + vector < t.rows ? vector_at(t.lhs, t.lhs_stride, row + vector) : a0;
    for (int64_t channel = 0; channel < t.channels; channel += 2 * vector) {
      const int8_t* const w0 = vector_at(t.panel, block_bytes, channel);
      const int8_t* const w1 = channel + vector < t.channels ? vector_at(t.panel, block_bytes, channel + vector) : w0;
      svzero_za();
      for (int64_t at = 0; at < kQuad / 4 * t.k_padded; at += kQuad) {
        const svint8_t tokens0 = svld1_s8(all, a0 + at);
        const svint8_t tokens1 = svld1_s8(all, a1 + at);
        const svint8_t weights0 = svld1_s8(all, w0 + at);
        const svint8_t weights1 = svld1_s8(all, w1 + at);
        svmopa_za32_s8_m(0, all, all, tokens0, weights0);
        svmopa_za32_s8_m(1, all, all, tokens0, weights1);
        svmopa_za32_s8_m(2, all, all, tokens1, weights0);
        svmopa_za32_s8_m(3, all, all, tokens1, weights1);
      }
      finish<0>(t, row, channel);
      finish<1>(t, row, channel + vector);
      finish<2>(t, row + vector, channel);
      finish<3>(t, row + vector, channel + vector);
    }
  }
}

__arm_locally_streaming __arm_new("za") int64_t sme2_dot_loop(int64_t rounds) {
  svzero_za();
  const svbool_t all = svptrue_b8();
  const svint8_t a = svdup_n_s8(3);
  for (int64_t round = 0; round < rounds; ++round) {
    svmopa_za32_s8_m(0, all, all, a, a);
    svmopa_za32_s8_m(1, all, all, a, a);
    svmopa_za32_s8_m(2, all, all, a, a);
    svmopa_za32_s8_m(3, all, all, a, a);
  }
  const int64_t vector = static_cast<int64_t>(svcntw());
  return rounds * 4 * 4 * vector * vector;
}

}  // namespace hqdit
