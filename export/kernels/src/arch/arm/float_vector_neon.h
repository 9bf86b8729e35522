// SPDX-License-Identifier: Apache-2.0
// Sixteen floats in four NEON registers; float_ops/vector_scalar.h says what each function means.
#pragma once

#include <arm_neon.h>

#include <cstdint>
#include <cstring>

namespace hqdit {
namespace {

// Twenty sums, four operands of the RHS, five of the LHS: 29 of the 32 registers.
constexpr int kMr = 5;
constexpr int kNr = 16;

struct F32x16 {
  float32x4_t q[4];
};

template <typename Function>
inline F32x16 each(Function function) {
  return {{function(0), function(1), function(2), function(3)}};
}

inline F32x16 splat(float value) {
  const float32x4_t v = vdupq_n_f32(value);
  return {{v, v, v, v}};
}
inline F32x16 load(const float* from) {
  return each([&](int i) { return vld1q_f32(from + 4 * i); });
}
inline void store(float* to, const F32x16& a) {
  for (int i = 0; i < 4; ++i) vst1q_f32(to + 4 * i, a.q[i]);
}
inline void store_int8(int8_t* to, const F32x16& a) {
  const auto eight = [&](int i) {
    return vcombine_s16(vmovn_s32(vcvtnq_s32_f32(a.q[i])), vmovn_s32(vcvtnq_s32_f32(a.q[i + 1])));
  };
  vst1q_s8(to, vcombine_s8(vmovn_s16(eight(0)), vmovn_s16(eight(2))));
}
inline void store_quads(int8_t* to, const F32x16 (&rows)[4]) {
  for (int i = 0; i < 4; ++i) {
    // Each insertion keeps the bits below it and takes the low ones of its lane.
    int32x4_t quads = vcvtnq_s32_f32(rows[0].q[i]);
    quads = vsliq_n_s32(quads, vcvtnq_s32_f32(rows[1].q[i]), 8);
    quads = vsliq_n_s32(quads, vcvtnq_s32_f32(rows[2].q[i]), 16);
    quads = vsliq_n_s32(quads, vcvtnq_s32_f32(rows[3].q[i]), 24);
    vst1q_s8(to + 16 * i, vreinterpretq_s8_s32(quads));
  }
}
inline F32x16 load_first(const float* from, int64_t count) {
  float lanes[16] = {};
  std::memcpy(lanes, from, static_cast<size_t>(count) * sizeof(float));
  return load(lanes);
}
inline void store_first(float* to, const F32x16& a, int64_t count) {
  float lanes[16];
  store(lanes, a);
  std::memcpy(to, lanes, static_cast<size_t>(count) * sizeof(float));
}
inline F32x16 keep_first(const F32x16& a, int64_t count, float fill) {
  float lanes[16];
  store(lanes, a);
  for (int64_t i = count; i < 16; ++i) lanes[i] = fill;
  return load(lanes);
}

inline F32x16 add(const F32x16& a, const F32x16& b) {
  return each([&](int i) { return vaddq_f32(a.q[i], b.q[i]); });
}
inline F32x16 sub(const F32x16& a, const F32x16& b) {
  return each([&](int i) { return vsubq_f32(a.q[i], b.q[i]); });
}
inline F32x16 mul(const F32x16& a, const F32x16& b) {
  return each([&](int i) { return vmulq_f32(a.q[i], b.q[i]); });
}
inline F32x16 div(const F32x16& a, const F32x16& b) {
  return each([&](int i) { return vdivq_f32(a.q[i], b.q[i]); });
}
inline F32x16 fma(const F32x16& a, const F32x16& b, const F32x16& c) {
  return each([&](int i) { return vfmaq_f32(c.q[i], a.q[i], b.q[i]); });
}
inline F32x16 max(const F32x16& a, const F32x16& b) {
  return each([&](int i) { return vmaxq_f32(a.q[i], b.q[i]); });
}
inline F32x16 min(const F32x16& a, const F32x16& b) {
  return each([&](int i) { return vminq_f32(a.q[i], b.q[i]); });
}
inline F32x16 low_bits_to_exponent(const F32x16& a) {
  return each([&](int i) { return vreinterpretq_f32_u32(vshlq_n_u32(vreinterpretq_u32_f32(a.q[i]), 23)); });
}

inline float sum(const F32x16& a) {
  const float32x4_t four = vaddq_f32(vaddq_f32(a.q[0], a.q[2]), vaddq_f32(a.q[1], a.q[3]));
  const float32x2_t two = vadd_f32(vget_low_f32(four), vget_high_f32(four));
  return vget_lane_f32(two, 0) + vget_lane_f32(two, 1);
}
inline float largest(const F32x16& a) {
  return vmaxvq_f32(vmaxq_f32(vmaxq_f32(a.q[0], a.q[2]), vmaxq_f32(a.q[1], a.q[3])));
}

struct Quad {
  float32x4_t v;
};
inline Quad load_quad(const float* from) { return {vld1q_f32(from)}; }
template <int Lane>
inline F32x16 fma_lane(const Quad& a, const F32x16& b, const F32x16& c) {
  return each([&](int i) { return vfmaq_laneq_f32(c.q[i], b.q[i], a.v, Lane); });
}

inline void transpose_quads(const float* from, int64_t stride, float* to) {
  const float32x4x2_t ab = vtrnq_f32(vld1q_f32(from), vld1q_f32(from + stride));
  const float32x4x2_t cd = vtrnq_f32(vld1q_f32(from + 2 * stride), vld1q_f32(from + 3 * stride));
  vst1q_f32(to, vcombine_f32(vget_low_f32(ab.val[0]), vget_low_f32(cd.val[0])));
  vst1q_f32(to + 16, vcombine_f32(vget_low_f32(ab.val[1]), vget_low_f32(cd.val[1])));
  vst1q_f32(to + 32, vcombine_f32(vget_high_f32(ab.val[0]), vget_high_f32(cd.val[0])));
  vst1q_f32(to + 48, vcombine_f32(vget_high_f32(ab.val[1]), vget_high_f32(cd.val[1])));
}

}  // namespace
}  // namespace hqdit
