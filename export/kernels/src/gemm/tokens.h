// SPDX-License-Identifier: Apache-2.0
// Steps 1 and 2 (rotate, quantize, pack) for any vector type V; see simd_*.h for what V offers. Each float operation
// is the scalar one on its lane, in the same order, so the bits are the scalar bits. Multiplying by +1 or -1 is exact,
// which is why a fused multiply-add may stand for an addition or a subtraction here, and only here.
#pragma once

#include <cstring>
#include <limits>

#include "gemm/backend.h"
#include "gemm/fp4_groups.h"
#include "gemm/fp4_small_groups.h"
#include "gemm/lattice.h"
#include "gemm/prefetch.h"
#include "gemm/unroll.h"

namespace hqdit {
namespace {

// Known to the compiler: the function would be shared by files of several instruction sets.
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

inline uint32_t magnitude_bits(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits & 0x7fffffffu;
}

/// y = x * pre through the first stages of the butterfly network, on `Vectors` registers at a time (0: none, k of any
/// size). Returns the bits of the largest |y|.
template <class V, int Vectors>
uint32_t first_pass(const float* x, const float* pre, int64_t k, float* y) {
  constexpr int kVectors = Vectors ? Vectors : 1;
  typename V::Bits largest = V::no_bits();
  int64_t start = 0;
  for (; start + kVectors * V::kWidth <= k; start += kVectors * V::kWidth) {
    for (int64_t i = 0; i < kVectors * V::kWidth; i += 16) prefetch_to_read(x + start + kFloatsAhead + i);
    typename V::Float v[kVectors];
    unroll<kVectors>([&](int i) {
      v[i] = V::load(x + start + i * V::kWidth);
      if (pre) v[i] = V::mul(v[i], V::load(pre + start + i * V::kWidth));
    });
    if constexpr (Vectors > 0) V::butterflies(v);
    unroll<3>([&](int stage) {
      const int h = 1 << stage;
      unroll<kVectors>([&](int i) {
        if ((i & h) || i + h >= kVectors) return;
        const typename V::Float a = v[i];
        v[i] = V::add(a, v[i + h]);
        v[i + h] = V::sub(a, v[i + h]);
      });
    });
    unroll<kVectors>([&](int i) { V::store(y + start + i * V::kWidth, v[i]); });
    if constexpr (V::kWidth == 16 && kVectors > 1) {
      unroll<kVectors / 2>([&](int i) { largest = V::larger_bits(largest, v[i], v[i + kVectors / 2]); });
    } else {
      unroll<kVectors>([&](int i) { largest = V::larger_bits(largest, v[i]); });
    }
  }
  uint32_t bits = V::reduce_bits(largest);
  for (; start < k; ++start) {
    y[start] = pre ? x[start] * pre[start] : x[start];
    const uint32_t other = magnitude_bits(y[start]);
    bits = other > bits ? other : bits;
  }
  return bits;
}

template <class V>
uint32_t largest_bits(const float* y, int64_t k) {
  typename V::Bits largest = V::no_bits();
  for (int64_t i = 0; i < k; i += V::kWidth) largest = V::larger_bits(largest, V::load(y + i));
  return V::reduce_bits(largest);
}

/// One stage, at distance h; `use` is given what comes of it.
template <class V, class Use>
void butterfly_stage(int64_t h, float* y, int64_t k, const Use& use) {
  for (int64_t start = 0; start < k; start += 2 * h) {
    for (int64_t i = start; i < start + h; i += V::kWidth) {
      const typename V::Float a = V::load(y + i);
      const typename V::Float b = V::load(y + i + h);
      const typename V::Float sum = V::add(a, b);
      const typename V::Float difference = V::sub(a, b);
      V::store(y + i, sum);
      V::store(y + i + h, difference);
      use(sum);
      use(difference);
    }
  }
}

/// The stages from distance h on, h < power. Returns the bits of the largest |y|.
template <class V>
uint32_t later_stages(int64_t h, int64_t power, float* y, int64_t k) {
  for (; 2 * h < power; h *= 2) butterfly_stage<V>(h, y, k, [](typename V::Float) {});
  typename V::Bits largest = V::no_bits();
  butterfly_stage<V>(h, y, k, [&](typename V::Float v) { largest = V::larger_bits(largest, v); });
  return V::reduce_bits(largest);
}

/// out = H_m times the m x power matrix x: 4 rows by `Columns` vectors at a time, summed over j from left to right.
template <class V, int Columns>
void hadamard_paley(const Rotation& rotation, const float* x, float* out) {
  const int64_t m = rotation.m;
  for (int64_t column = 0; column < rotation.power; column += Columns * V::kWidth) {
    for (int64_t i = 0; i < m; i += 4) {
      typename V::Float sum[4][Columns];
      for (int64_t j = 0; j < m; ++j) {
        const float* sign = rotation.paley_t + j * m + i;
        for (int c = 0; c < Columns; ++c) {
          const typename V::Float value = V::load(x + j * rotation.power + column + c * V::kWidth);
          for (int r = 0; r < 4; ++r) {
            const typename V::Float s = V::set1(sign[r]);
            sum[r][c] = j == 0 ? V::mul(s, value) : V::fma(s, value, sum[r][c]);
          }
        }
      }
      for (int r = 0; r < 4; ++r) {
        for (int c = 0; c < Columns; ++c) {
          V::store(out + (i + r) * rotation.power + column + c * V::kWidth, sum[r][c]);
        }
      }
    }
  }
}

/// Steps 1 and 2 into y, by way of spare; returns the bits of the largest magnitude.
template <class V>
uint32_t rotate_inputs(const TokenStep& step, const float* x, float* y, float* spare) {
  const Rotation& rotation = step.rotation;
  const int64_t order = rotation.m * rotation.power;
  const int64_t vectors = rotation.power / V::kWidth;
  uint32_t bits = 0;
  if (vectors == 0) {
    bits = first_pass<V, 0>(x, step.pre, step.k, y);
    if (order == 1) return bits;
    for (int64_t i = 0; i < step.k; i += order) rotate_block(rotation, y + i, spare);
  } else {
    const int64_t in_registers = vectors < 8 ? vectors : 8;
    float* butterflied = rotation.m > 1 ? spare : y;
    if (in_registers == 1) bits = first_pass<V, 1>(x, step.pre, step.k, butterflied);
    if (in_registers == 2) bits = first_pass<V, 2>(x, step.pre, step.k, butterflied);
    if (in_registers == 4) bits = first_pass<V, 4>(x, step.pre, step.k, butterflied);
    if (in_registers == 8) bits = first_pass<V, 8>(x, step.pre, step.k, butterflied);
    if (in_registers < vectors) bits = later_stages<V>(in_registers * V::kWidth, rotation.power, butterflied, step.k);
    if (rotation.m == 1) return bits;
    for (int64_t i = 0; i < step.k; i += order) {
      if (vectors % 2 == 0) {
        hadamard_paley<V, 2>(rotation, spare + i, y + i);
      } else {
        hadamard_paley<V, 1>(rotation, spare + i, y + i);
      }
    }
  }
  const int64_t whole = step.k / V::kWidth * V::kWidth;
  bits = largest_bits<V>(y, whole);
  for (int64_t i = whole; i < step.k; ++i) bits = magnitude_bits(y[i]) > bits ? magnitude_bits(y[i]) : bits;
  return bits;
}

template <class V>
void quantize_groups(const int16_t* t, const TokenStep& step, const PackedLhs& lhs, int64_t row) {
  const int64_t group = step.activation_group;
  const bool e2m1_only = step.activation == Activation::kE2m1;
  if (group == 16) {
    for (int64_t k = 0; k < step.k_padded; k += 128) {
      quantize_eight_groups<V, 1>(t, k, step.k_padded, e2m1_only, lhs, row);
    }
  } else if (group == 32) {
    for (int64_t k = 0; k < step.k_padded; k += 256) {
      quantize_eight_groups<V, 2>(t, k, step.k_padded, e2m1_only, lhs, row);
    }
  } else {
    for (int64_t k = 0; k < step.k; k += group) {
      quantize_group<V>(t, k, k + group < step.k ? k + group : step.k_padded, e2m1_only, lhs, row);
    }
  }
}

/// A row of the packed LHS: k_padded numbers times `factor`, rounded.
template <class V>
void pack_rounded(const float* y, float factor, int64_t k_padded, int64_t row, const PackedLhs& lhs) {
  if constexpr (V::kWidth == 16) {
    V::pack_row(lhs, row, k_padded, y, factor);
  } else {
    for (int64_t k = 0; k < k_padded; k += 16) V::pack16(lhs, row, k, V::round16(y + k, factor));
    V::finish_row(lhs, row, k_padded);
  }
}

/// Sets the token's scale; returns what its inputs are multiplied by before they are rounded, zero for a token of
/// zeros.
inline float token_grid(uint32_t bits, Activation activation, float& scale) {
  // Without their sign, floats order as integers do, with infinity and NaN above all the rest.
  float amax;
  std::memcpy(&amax, &bits, sizeof amax);
  const bool finite = bits < 0x7f800000u;
  const bool zero = !finite || amax < 0x1p-100f;
  const bool int8 = activation == Activation::kInt8;
  scale = zero ? 0.0f : amax / (int8 ? 127.0f : 120.0f);
  if (!finite) scale = kNaN;
  return zero ? 0.0f : (int8 ? 127.0f : 1920.0f) / amax;
}

template <class V>
void quantize_token(const TokenStep& step, const float* y, float inverse, int64_t row, const PackedLhs& lhs,
                    int16_t* t) {
  // |y| <= amax, so no rounded value exceeds the grid and the definition's clamp never acts.
  if (inverse != 0.0f && step.activation == Activation::kInt8) {
    return pack_rounded<V>(y, inverse, step.k_padded, row, lhs);
  }
  if (inverse == 0.0f) {
    for (int64_t k = 0; k < step.k_padded; k += 16) V::pack16(lhs, row, k, V::zero16());
  } else {
    for (int64_t k = 0; k < step.k_padded; k += 16) V::store16(t + k, V::round16(y + k, inverse));
    quantize_groups<V>(t, step, lhs, row);
  }
  V::finish_row(lhs, row, step.k_padded);
}

struct RotatedToken {
  const float* values;  ///< [k_padded]
  uint32_t largest;     ///< bits of the largest magnitude
};

/// A token is rotated before the last one is quantized, which would by itself wait for its maximum and for the
/// division.
template <class V>
void quantize_pack_lhs(const TokenStep& step, const TokenRows& x, int64_t row, const PackedLhs& lhs, float* scratch) {
  float* spare = scratch + kTokensTogether * step.k_padded;
  int16_t* t = reinterpret_cast<int16_t*>(spare + step.k_padded);
  const auto place = [&](int64_t i) { return scratch + i % kTokensTogether * step.k_padded; };
  const bool as_they_are =
      !step.pre && step.rotation.m * step.rotation.power == 1 && step.k == step.k_padded && step.k % V::kWidth == 0;
  const auto rotate = [&](int64_t i) {
    const float* from = x.data + i * x.stride;
    if (as_they_are) return RotatedToken{from, largest_bits<V>(from, step.k)};
    for (int64_t k = step.k; k < step.k_padded; ++k) place(i)[k] = 0.0f;
    return RotatedToken{place(i), rotate_inputs<V>(step, from, place(i), spare)};
  };
  RotatedToken token = rotate(0);
  for (int64_t i = 0; i < x.rows; ++i) {
    const float inverse = token_grid(token.largest, step.activation, lhs.scale[row + i]);
    const float* y = token.values;
    if (i + 1 < x.rows) token = rotate(i + 1);
    quantize_token<V>(step, y, inverse, row + i, lhs, t);
  }
}

template <class V>
void pack_lhs_row(const float* values, int64_t k_padded, int64_t row, const PackedLhs& lhs) {
  pack_rounded<V>(values, 1.0f, k_padded, row, lhs);
}

}  // namespace
}  // namespace hqdit
