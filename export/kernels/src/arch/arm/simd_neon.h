// SPDX-License-Identifier: Apache-2.0
// V of tokens.h for NEON: 4 floats, and 16 int16 lanes in two registers. A backend adds pack16 and finish_row.
#pragma once

#include <arm_neon.h>

#include <cstdint>

#include "gemm/backend.h"
#include "gemm/unroll.h"

namespace hqdit {
namespace {

struct NeonReciprocals {
  int16_t value[19];
};

constexpr NeonReciprocals make_reciprocals() {
  NeonReciprocals table{};
  for (int r = 1; r <= 18; ++r) table.value[r] = static_cast<int16_t>((16384 + r - 1) / r);
  return table;
}

struct Neon {
  using Float = float32x4_t;
  static constexpr int64_t kWidth = 4;

  static Float load(const float* p) { return vld1q_f32(p); }
  static void store(float* p, Float v) { vst1q_f32(p, v); }
  static Float set1(float v) { return vdupq_n_f32(v); }
  static Float add(Float a, Float b) { return vaddq_f32(a, b); }
  static Float sub(Float a, Float b) { return vsubq_f32(a, b); }
  static Float mul(Float a, Float b) { return vmulq_f32(a, b); }
  static Float fma(Float a, Float b, Float c) { return vfmaq_f32(c, a, b); }

  /// The stages at distance 1 and 2: the lane's partner plus or minus the lane.
  template <int Vectors>
  static void butterflies(Float (&v)[Vectors]) {
    static const float kSigns[2][4] = {{1, -1, 1, -1}, {1, 1, -1, -1}};
    const Float one = vld1q_f32(kSigns[0]);
    const Float two = vld1q_f32(kSigns[1]);
    unroll<Vectors>([&](int i) { v[i] = vfmaq_f32(vrev64q_f32(v[i]), v[i], one); });
    unroll<Vectors>([&](int i) { v[i] = vfmaq_f32(vextq_f32(v[i], v[i], 2), v[i], two); });
  }

  using Bits = uint32x4_t;
  static Bits no_bits() { return vdupq_n_u32(0); }
  static Bits larger_bits(Bits largest, Float v) {
    return vmaxq_u32(largest, vandq_u32(vreinterpretq_u32_f32(v), vdupq_n_u32(0x7fffffffu)));
  }
  static uint32_t reduce_bits(Bits largest) { return vmaxvq_u32(largest); }

  struct Int16 {
    int16x8_t low;
    int16x8_t high;
  };
  static constexpr NeonReciprocals kTable = make_reciprocals();
  static constexpr const int16_t* kReciprocal = kTable.value;

  static Int16 round16(const float* y, float inverse) {
    const int32x4_t a = vcvtnq_s32_f32(vmulq_n_f32(vld1q_f32(y), inverse));
    const int32x4_t b = vcvtnq_s32_f32(vmulq_n_f32(vld1q_f32(y + 4), inverse));
    const int32x4_t c = vcvtnq_s32_f32(vmulq_n_f32(vld1q_f32(y + 8), inverse));
    const int32x4_t d = vcvtnq_s32_f32(vmulq_n_f32(vld1q_f32(y + 12), inverse));
    return {vcombine_s16(vmovn_s32(a), vmovn_s32(b)), vcombine_s16(vmovn_s32(c), vmovn_s32(d))};
  }
  static int8x16_t narrow(Int16 v) { return vcombine_s8(vmovn_s16(v.low), vmovn_s16(v.high)); }

  static Int16 zero16() { return set1_16(0); }
  static Int16 set1_16(int16_t value) { return {vdupq_n_s16(value), vdupq_n_s16(value)}; }
  static Int16 load16(const int16_t* p) { return {vld1q_s16(p), vld1q_s16(p + 8)}; }
  static void store16(int16_t* p, Int16 v) {
    vst1q_s16(p, v.low);
    vst1q_s16(p + 8, v.high);
  }
  static Int16 abs16(Int16 v) { return {vabsq_s16(v.low), vabsq_s16(v.high)}; }
  static Int16 max16(Int16 a, Int16 b) { return {vmaxq_s16(a.low, b.low), vmaxq_s16(a.high, b.high)}; }
  static Int16 subtract(Int16 a, Int16 b) { return {vsubq_s16(a.low, b.low), vsubq_s16(a.high, b.high)}; }
  static Int16 multiply(Int16 a, Int16 b) { return {vmulq_s16(a.low, b.low), vmulq_s16(a.high, b.high)}; }
  static Int16 times16(Int16 v) { return {vshlq_n_s16(v.low, 4), vshlq_n_s16(v.high, 4)}; }
  static Int16 copy_sign(Int16 v, Int16 sign) {
    return {vbslq_s16(vcltzq_s16(sign.low), vnegq_s16(v.low), v.low),
            vbslq_s16(vcltzq_s16(sign.high), vnegq_s16(v.high), v.high)};
  }
  static Int16 select(bool first, Int16 a, Int16 b) {
    const uint16x8_t mask = vdupq_n_u16(first ? 0xFFFF : 0);
    return {vbslq_s16(mask, a.low, b.low), vbslq_s16(mask, a.high, b.high)};
  }

  /// |t| / 4, and from it floor(|t| / 8r): x ceil(16384 / r) / 32768 is off by less than 1 / 2r for x <= 480, r <= 18.
  static Int16 quarter(Int16 magnitude) { return {vshrq_n_s16(magnitude.low, 2), vshrq_n_s16(magnitude.high, 2)}; }
  static Int16 divide(Int16 quarter, Int16 reciprocal) {
    return {vqdmulhq_s16(quarter.low, reciprocal.low), vqdmulhq_s16(quarter.high, reciprocal.high)};
  }

  /// E1M2: (steps + 1) / 2, at most 7.
  static Int16 e1m2_grid(Int16 steps) {
    const int16x8_t seven = vdupq_n_s16(7);
    return {vminq_s16(vrshrq_n_s16(steps.low, 1), seven), vminq_s16(vrshrq_n_s16(steps.high, 1), seven)};
  }
  /// E2M1: a table for 0..31 steps; the high byte of each lane reads entry 0, zero.
  static Int16 e2m1_grid(Int16 steps) { return {e2m1_lookup(steps.low), e2m1_lookup(steps.high)}; }

  // Eight pairs, one per 32-bit lane: fp4_small_groups.h.
  struct PairSums {
    int32x4_t low;
    int32x4_t high;
  };
  static PairSums no_pair_sums() { return {vdupq_n_s32(0), vdupq_n_s32(0)}; }
  static PairSums add_pair_squares(PairSums sum, Int16 v) {
    return {vaddq_s32(sum.low, pair_squares(v.low)), vaddq_s32(sum.high, pair_squares(v.high))};
  }
  static Int16 less(PairSums a, PairSums b) {
    return {vreinterpretq_s16_u32(vcltq_s32(a.low, b.low)), vreinterpretq_s16_u32(vcltq_s32(a.high, b.high))};
  }
  static PairSums smaller(PairSums a, PairSums b) { return {vminq_s32(a.low, b.low), vminq_s32(a.high, b.high)}; }
  static Int16 blend(Int16 mask, Int16 a, Int16 b) {
    return {vbslq_s16(vreinterpretq_u16_s16(mask.low), a.low, b.low),
            vbslq_s16(vreinterpretq_u16_s16(mask.high), a.high, b.high)};
  }
  static Int16 max_of_pair(Int16 v) {
    return {vmaxq_s16(v.low, vrev32q_s16(v.low)), vmaxq_s16(v.high, vrev32q_s16(v.high))};
  }
  /// max(1, ceil(g / 192)) and max(1, ceil(g / 112)); x * ceil(2^21 / d) / 2^21 is exact for x < 2^11 + 112.
  static void smallest_multipliers(Int16 g, Int16& r1, Int16& r2) {
    r1 = {smallest_multiplier(g.low, 191, 10923), smallest_multiplier(g.high, 191, 10923)};
    r2 = {smallest_multiplier(g.low, 111, 18725), smallest_multiplier(g.high, 111, 18725)};
  }
  /// ceil(16384 / r) of r that are equal within a pair: a float quotient is never so wrong as to reach an integer.
  static Int16 reciprocals(Int16 r) { return {reciprocal(r.low), reciprocal(r.high)}; }
  /// The 8 x 8 matrix of 32-bit elements transposed.
  static void transpose_pairs(Int16 v[8]) {
    int16x8_t quarters[4][4] = {{v[0].low, v[1].low, v[2].low, v[3].low},
                                {v[0].high, v[1].high, v[2].high, v[3].high},
                                {v[4].low, v[5].low, v[6].low, v[7].low},
                                {v[4].high, v[5].high, v[6].high, v[7].high}};
    for (auto& quarter : quarters) transpose_quarter(quarter);
    for (int i = 0; i < 4; ++i) {
      v[i] = {quarters[0][i], quarters[2][i]};
      v[i + 4] = {quarters[1][i], quarters[3][i]};
    }
  }

  using Squares = int32x4_t;
  static Squares no_squares() { return vdupq_n_s32(0); }
  static Squares add_squares(Squares sum, Int16 v) {
    sum = vmlal_s16(sum, vget_low_s16(v.low), vget_low_s16(v.low));
    sum = vmlal_high_s16(sum, v.low, v.low);
    sum = vmlal_s16(sum, vget_low_s16(v.high), vget_low_s16(v.high));
    return vmlal_high_s16(sum, v.high, v.high);
  }
  static void add_sums(const Squares squares[4], uint64_t error[4]) {
    for (int i = 0; i < 4; ++i) error[i] += static_cast<uint32_t>(vaddvq_s32(squares[i]));
  }
  static int reduce_max(Int16 v) { return vmaxvq_s16(vmaxq_s16(v.low, v.high)); }

 private:
  static int32x4_t pair_squares(int16x8_t v) {
    return vpaddq_s32(vmull_s16(vget_low_s16(v), vget_low_s16(v)), vmull_high_s16(v, v));
  }
  static int16x8_t smallest_multiplier(int16x8_t g, int16_t step_less_one, int16_t factor) {
    const int16x8_t scaled = vqdmulhq_n_s16(vaddq_s16(g, vdupq_n_s16(step_less_one)), factor);
    return vmaxq_s16(vdupq_n_s16(1), vshrq_n_s16(scaled, 6));
  }
  static int16x8_t reciprocal(int16x8_t r) {
    const uint32x4_t divisor = vandq_u32(vreinterpretq_u32_s16(r), vdupq_n_u32(0xFFFF));
    const uint32x4_t m = vcvtpq_u32_f32(vdivq_f32(vdupq_n_f32(16384), vcvtq_f32_u32(divisor)));
    return vreinterpretq_s16_u32(vorrq_u32(m, vshlq_n_u32(m, 16)));
  }
  static void transpose_quarter(int16x8_t v[4]) {
    const int32x4_t a = vtrn1q_s32(vreinterpretq_s32_s16(v[0]), vreinterpretq_s32_s16(v[1]));
    const int32x4_t b = vtrn2q_s32(vreinterpretq_s32_s16(v[0]), vreinterpretq_s32_s16(v[1]));
    const int32x4_t c = vtrn1q_s32(vreinterpretq_s32_s16(v[2]), vreinterpretq_s32_s16(v[3]));
    const int32x4_t d = vtrn2q_s32(vreinterpretq_s32_s16(v[2]), vreinterpretq_s32_s16(v[3]));
    v[0] = vreinterpretq_s16_s64(vtrn1q_s64(vreinterpretq_s64_s32(a), vreinterpretq_s64_s32(c)));
    v[1] = vreinterpretq_s16_s64(vtrn1q_s64(vreinterpretq_s64_s32(b), vreinterpretq_s64_s32(d)));
    v[2] = vreinterpretq_s16_s64(vtrn2q_s64(vreinterpretq_s64_s32(a), vreinterpretq_s64_s32(c)));
    v[3] = vreinterpretq_s16_s64(vtrn2q_s64(vreinterpretq_s64_s32(b), vreinterpretq_s64_s32(d)));
  }
  static int16x8_t e2m1_lookup(int16x8_t steps) {
    static const uint8_t kGrid[32] = {0, 1, 1, 2, 2,  3,  3,  4,  4,  4,  6,  6,  6,  6,  8,  8,
                                      8, 8, 8, 8, 12, 12, 12, 12, 12, 12, 12, 12, 12, 12, 12, 12};
    const uint8x16x2_t table = {{vld1q_u8(kGrid), vld1q_u8(kGrid + 16)}};
    const int16x8_t index = vminq_s16(steps, vdupq_n_s16(31));
    return vreinterpretq_s16_u8(vqtbl2q_u8(table, vreinterpretq_u8_s16(index)));
  }
};

/// The packed LHS as int8 [tokens / Rows][k_padded / 4][Rows][4].
template <int Rows>
struct NeonQuads : Neon {
  static void pack16(const PackedLhs& lhs, int64_t row, int64_t k, Int16 v) {
    int32_t* to = reinterpret_cast<int32_t*>(lhs.data + place(lhs.stride, row, k));
    const int32x4_t quads = vreinterpretq_s32_s8(narrow(v));
    vst1q_lane_s32(to, quads, 0);
    vst1q_lane_s32(to + Rows, quads, 1);
    vst1q_lane_s32(to + 2 * Rows, quads, 2);
    vst1q_lane_s32(to + 3 * Rows, quads, 3);
  }
  static void finish_row(const PackedLhs& lhs, int64_t row, int64_t) { lhs.offset[row] = 0; }

  /// Sixteen inputs of a token.
  static int8x16_t lhs16(const uint8_t* lhs, int64_t stride, int row, int64_t k) {
    const int32_t* from = reinterpret_cast<const int32_t*>(lhs + place(stride, row, k));
    int32x4_t quads = vdupq_n_s32(0);
    quads = vld1q_lane_s32(from, quads, 0);
    quads = vld1q_lane_s32(from + Rows, quads, 1);
    quads = vld1q_lane_s32(from + 2 * Rows, quads, 2);
    return vreinterpretq_s8_s32(vld1q_lane_s32(from + 3 * Rows, quads, 3));
  }

 private:
  static int64_t place(int64_t stride, int64_t row, int64_t k) {
    return row / Rows * stride + Rows * k + row % Rows * 4;
  }
};

}  // namespace
}  // namespace hqdit
