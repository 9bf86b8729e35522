// SPDX-License-Identifier: Apache-2.0
// Steps 1 and 2 (rotate, quantize, pack) for any vector type V; see simd_*.h for what V offers. Each float operation
// is the scalar one on its lane, in the same order, so the bits are the scalar bits. Multiplying by +1 or -1 is exact,
// which is why a fused multiply-add may stand for an addition or a subtraction here, and only here.
#pragma once

#include <cstring>
#include <limits>

#include "backend.h"
#include "fp4_groups.h"
#include "lattice.h"

namespace hqdit {
namespace {

template <class V>
void scale_inputs(const float* x, const float* pre, int64_t k, float* y) {
  int64_t i = 0;
  if (!pre) {
    std::memcpy(y, x, static_cast<size_t>(k) * sizeof(float));
    return;
  }
  for (; i + V::kWidth <= k; i += V::kWidth) V::store(y + i, V::mul(V::load(x + i), V::load(pre + i)));
  for (; i < k; ++i) y[i] = x[i] * pre[i];
}

/// The first stages of the butterfly network, on `Vectors` registers at a time.
template <class V, int Vectors>
void butterflies_in_registers(float* y, int64_t k) {
  for (int64_t start = 0; start < k; start += Vectors * V::kWidth) {
    typename V::Float v[Vectors];
    for (int i = 0; i < Vectors; ++i) v[i] = V::butterflies(V::load(y + start + i * V::kWidth));
    for (int h = 1; h < Vectors; h *= 2) {
      for (int i = 0; i < Vectors; ++i) {
        if (i & h) continue;
        const typename V::Float a = v[i];
        const typename V::Float b = v[i + h];
        v[i] = V::add(a, b);
        v[i + h] = V::sub(a, b);
      }
    }
    for (int i = 0; i < Vectors; ++i) V::store(y + start + i * V::kWidth, v[i]);
  }
}

template <class V>
void hadamard_power(int64_t power, float* y, int64_t k) {
  int64_t h = V::kWidth;
  const int64_t vectors = power / V::kWidth;
  if (vectors >= 8) {
    butterflies_in_registers<V, 8>(y, k);
    h *= 8;
  } else if (vectors >= 4) {
    butterflies_in_registers<V, 4>(y, k);
    h *= 4;
  } else if (vectors >= 2) {
    butterflies_in_registers<V, 2>(y, k);
    h *= 2;
  } else {
    butterflies_in_registers<V, 1>(y, k);
  }
  for (; h < power; h *= 2) {
    for (int64_t start = 0; start < k; start += 2 * h) {
      for (int64_t i = start; i < start + h; i += V::kWidth) {
        const typename V::Float a = V::load(y + i);
        const typename V::Float b = V::load(y + i + h);
        V::store(y + i, V::add(a, b));
        V::store(y + i + h, V::sub(a, b));
      }
    }
  }
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

/// Returns where the rotated inputs are: y or spare.
template <class V>
float* rotate_inputs(const Rotation& rotation, float* y, float* spare, int64_t k) {
  const int64_t order = rotation.m * rotation.power;
  if (order == 1) return y;
  if (rotation.power < V::kWidth) {
    for (int64_t i = 0; i < k; i += order) rotate_block(rotation, y + i, spare);
    return y;
  }
  hadamard_power<V>(rotation.power, y, k);
  if (rotation.m == 1) return y;
  for (int64_t i = 0; i < k; i += order) {
    if (rotation.power % (2 * V::kWidth) == 0) {
      hadamard_paley<V, 2>(rotation, y + i, spare + i);
    } else {
      hadamard_paley<V, 1>(rotation, y + i, spare + i);
    }
  }
  return spare;
}

template <class V>
void prepare_token(const TokenStep& step, const float* x, int64_t row, const Left& left, float* scratch) {
  float* spare = scratch + step.k_padded;
  int16_t* t = reinterpret_cast<int16_t*>(scratch + 2 * step.k_padded);
  scale_inputs<V>(x, step.pre, step.k, scratch);
  const float* y = rotate_inputs<V>(step.rotation, scratch, spare, step.k);
  const size_t padding = static_cast<size_t>(step.k_padded - step.k) * sizeof(float);
  std::memset(const_cast<float*>(y) + step.k, 0, padding);

  // Without their sign, floats order as integers do, with infinity and NaN above all the rest.
  const uint32_t bits = V::largest_magnitude_bits(y, step.k_padded);
  float amax;
  std::memcpy(&amax, &bits, sizeof amax);
  const bool finite = bits < 0x7f800000u;
  const bool zero = !finite || amax < 0x1p-100f;
  const bool int8 = step.activation == Activation::kInt8;
  const float range = int8 ? 127.0f : 1920.0f;
  const float inverse = zero ? 0.0f : range / amax;
  left.scale[row] = zero ? 0.0f : amax / (int8 ? 127.0f : 120.0f);
  if (!finite) left.scale[row] = std::numeric_limits<float>::quiet_NaN();

  // |y| <= amax, so no rounded value exceeds `range` and the definition's clamp never acts.
  if (zero) {
    for (int64_t k = 0; k < step.k_padded; k += 16) V::put16(left, row, k, V::zero16());
  } else if (int8) {
    for (int64_t k = 0; k < step.k_padded; k += 16) V::put16(left, row, k, V::round16(y + k, inverse));
  } else {
    for (int64_t k = 0; k < step.k_padded; k += 16) V::store16(t + k, V::round16(y + k, inverse));
    for (int64_t k = 0; k < step.k; k += step.activation_group) {
      const int64_t end = k + step.activation_group < step.k ? k + step.activation_group : step.k_padded;
      quantize_group<V>(t, k, end, step.activation == Activation::kE2m1, left, row);
    }
  }
  V::finish_row(left, row, step.k_padded);
}

}  // namespace
}  // namespace hqdit
