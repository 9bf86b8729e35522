// SPDX-License-Identifier: Apache-2.0
// What the NEON backends share: decoding of codes and the last step.
#pragma once

#include <arm_neon.h>

#include <cstring>

#include "gemm/backend.h"
#include "gemm/lattice.h"
#include "gemm/table_ids.h"
#include "gemm/unroll.h"

namespace hqdit {
namespace {

/// Rows of four 32-bit elements as columns.
inline void transpose(int32x4_t v[4]) {
  const int32x4_t a = vtrn1q_s32(v[0], v[1]);
  const int32x4_t b = vtrn2q_s32(v[0], v[1]);
  const int32x4_t c = vtrn1q_s32(v[2], v[3]);
  const int32x4_t d = vtrn2q_s32(v[2], v[3]);
  v[0] = vreinterpretq_s32_s64(vtrn1q_s64(vreinterpretq_s64_s32(a), vreinterpretq_s64_s32(c)));
  v[1] = vreinterpretq_s32_s64(vtrn1q_s64(vreinterpretq_s64_s32(b), vreinterpretq_s64_s32(d)));
  v[2] = vreinterpretq_s32_s64(vtrn2q_s64(vreinterpretq_s64_s32(a), vreinterpretq_s64_s32(c)));
  v[3] = vreinterpretq_s32_s64(vtrn2q_s64(vreinterpretq_s64_s32(b), vreinterpretq_s64_s32(d)));
}

/// Goes along the inputs of one 16-channel block, 32 at a time: so many are in 16 bytes of codes.
class CodeReader {
 public:
  CodeReader(const Fp4Weight& weight, int64_t block)
      : codes_(weight.codes + block * stored_inputs(weight.k) * 8), table_ids_(weight, block) {}

  /// Call with 0, 32, 64, ... in turn.
  void at(int64_t k) {
    ids_[0] = table_ids_.at(k);
    ids_[1] = table_ids_.at(k + 16);
    row_ = codes_ + 8 * k;
  }

  struct Weights {
    int8x16_t half[2];
  };

  /// The 32 weights of one channel.
  Weights weights(int channel) const {
    const uint8x16_t codes = vld1q_u8(row_ + 16 * channel);
    return {{vqtbl1q_s8(table(0, channel), vandq_u8(codes, vdupq_n_u8(15))),
             vqtbl1q_s8(table(1, channel), vshrq_n_u8(codes, 4))}};
  }

  /// The 32 weights of channels first .. first + 3, four inputs at a time: int8 [8 quads, `stride` bytes apart][4][4].
  void four_channels(int first, uint8_t* to, int64_t stride) const {
    int32x4_t quads[2][4];
    for (int i = 0; i < 4; ++i) {
      const Weights w = weights(first + i);
      for (int half = 0; half < 2; ++half) quads[half][i] = vreinterpretq_s32_s8(w.half[half]);
    }
    for (int half = 0; half < 2; ++half) {
      transpose(quads[half]);
      for (int j = 0; j < 4; ++j, to += stride) vst1q_s32(reinterpret_cast<int32_t*>(to), quads[half][j]);
    }
  }

 private:
  int8x16_t table(int half, int channel) const { return vld1q_s8(kDecode.value[ids_[half][channel]]); }

  const uint8_t* codes_;
  TableIds table_ids_;
  const uint8_t* ids_[2]{};  ///< of the first and the second 16 inputs
  const uint8_t* row_ = nullptr;
};

/// out[first .. first + 4) of one token from its accumulators.
inline void finish(int32x4_t acc, const Tile& t, int row, int first) {
  float32x4_t y = vmulq_f32(vcvtq_f32_s32(acc), vld1q_f32(t.scale + first));
  y = vaddq_f32(vmulq_n_f32(y, t.token_scale[row]), vld1q_f32(t.bias + first));
  float* out = t.out + row * t.out_stride + first;
  if (t.channels - first >= 4) {
    vst1q_f32(out, y);
  } else {
    float parts[4];
    vst1q_f32(parts, y);
    for (int64_t i = 0; i < t.channels - first; ++i) out[i] = parts[i];
  }
}

/// The outputs of a tile's channels first .. first + 4 Vectors - 1 from their sums [rows][4 Vectors].
template <int Vectors>
inline void finish_rows(const Tile& t, int64_t first, const int32_t* sums) {
  float32x4_t scale[Vectors];
  float32x4_t bias[Vectors];
  unroll<Vectors>([&](int i) {
    scale[i] = vld1q_f32(t.scale + first + 4 * i);
    bias[i] = vld1q_f32(t.bias + first + 4 * i);
  });
  const int64_t count = t.channels - first;
  float* out = t.out + first;
  for (int r = 0; r < t.rows; ++r, sums += 4 * Vectors, out += t.out_stride) {
    float parts[4 * Vectors];
    float* to = count >= 4 * Vectors ? out : parts;
    unroll<Vectors>([&](int i) {
      const float32x4_t y = vmulq_f32(vcvtq_f32_s32(vld1q_s32(sums + 4 * i)), scale[i]);
      vst1q_f32(to + 4 * i, vaddq_f32(vmulq_n_f32(y, t.token_scale[r]), bias[i]));
    });
    if (to == parts) std::memcpy(out, parts, static_cast<size_t>(count) * sizeof(float));
  }
}

}  // namespace
}  // namespace hqdit
