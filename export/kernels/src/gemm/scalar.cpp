// SPDX-License-Identifier: Apache-2.0
// The definition in plain C++: every other backend must give these bits.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "float_ops/backend.h"
#include "gemm/backend.h"
#include "gemm/lattice.h"
#include "gemm/processor.h"

namespace hqdit {
namespace {

constexpr float kTinyToken = 0x1p-100f;
constexpr int kE2m1Thresholds[7] = {1, 3, 5, 7, 10, 14, 20};
constexpr int kE1m2Thresholds[7] = {1, 3, 5, 7, 9, 11, 13};

struct Candidate {
  const int* thresholds;
  bool e2m1;
  int multiplier;
};

int nearest(const Candidate& candidate, int t) {
  const int magnitude = t < 0 ? -t : t;
  int index = 0;
  for (int i = 0; i < 7; ++i) index += 8 * candidate.multiplier * candidate.thresholds[i] <= magnitude;
  const int value = candidate.multiplier * (candidate.e2m1 ? kE2m1Grid[index] : index);
  return t < 0 ? -value : value;
}

int ceil_at_least_one(int g, int step) { return g <= step ? 1 : (g + step - 1) / step; }

void quantize_group(const int16_t* t, int64_t count, bool e2m1_only, int8_t* a) {
  int g = 0;
  for (int64_t i = 0; i < count; ++i) g = std::max(g, std::abs(static_cast<int>(t[i])));
  const int r1 = ceil_at_least_one(g, 192);
  const int r2 = ceil_at_least_one(g, 112);
  const Candidate candidates[4] = {{kE2m1Thresholds, true, r1},
                                   {kE1m2Thresholds, false, r2},
                                   {kE2m1Thresholds, true, std::max(1, r1 - 1)},
                                   {kE1m2Thresholds, false, std::max(1, r2 - 1)}};
  Candidate best = candidates[0];
  if (!e2m1_only) {
    int64_t best_error = std::numeric_limits<int64_t>::max();
    for (const Candidate& candidate : candidates) {
      int64_t error = 0;
      for (int64_t i = 0; i < count; ++i) {
        const int64_t difference = t[i] - 16 * nearest(candidate, t[i]);
        error += difference * difference;
      }
      if (error < best_error) {
        best_error = error;
        best = candidate;
      }
    }
  }
  for (int64_t i = 0; i < count; ++i) a[i] = static_cast<int8_t>(nearest(best, t[i]));
}

float rounded(float x, float limit) { return std::fmax(-limit, std::fmin(limit, std::nearbyint(x))); }

void quantize_pack_token(const TokenStep& step, const float* x, int64_t row, const PackedLhs& lhs, float* scratch) {
  int8_t* a = reinterpret_cast<int8_t*>(lhs.data + row * lhs.stride);
  std::memset(a, 0, static_cast<size_t>(step.k_padded));
  lhs.offset[row] = 0;

  for (int64_t k = 0; k < step.k; ++k) scratch[k] = step.pre ? x[k] * step.pre[k] : x[k];
  const int64_t order = step.rotation.m * step.rotation.power;
  if (order > 1) {
    for (int64_t k = 0; k < step.k; k += order) rotate_block(step.rotation, scratch + k, scratch + step.k_padded);
  }

  float amax = 0;
  bool finite = true;
  for (int64_t k = 0; k < step.k; ++k) {
    finite = finite && std::isfinite(scratch[k]);
    amax = std::fmax(amax, std::fabs(scratch[k]));
  }
  if (!finite || amax < kTinyToken) {
    lhs.scale[row] = finite ? 0.0f : std::numeric_limits<float>::quiet_NaN();
    return;
  }
  if (step.activation == Activation::kInt8) {
    lhs.scale[row] = amax / 127.0f;
    const float inverse = 127.0f / amax;
    for (int64_t k = 0; k < step.k; ++k) a[k] = static_cast<int8_t>(rounded(scratch[k] * inverse, 127.0f));
    return;
  }
  lhs.scale[row] = amax / 120.0f;
  const float inverse = 1920.0f / amax;
  int16_t* t = reinterpret_cast<int16_t*>(scratch + step.k_padded);
  for (int64_t k = 0; k < step.k; ++k) t[k] = static_cast<int16_t>(rounded(scratch[k] * inverse, 1920.0f));
  for (int64_t k = 0; k < step.k; k += step.activation_group) {
    const int64_t count = std::min(step.activation_group, step.k - k);
    quantize_group(t + k, count, step.activation == Activation::kE2m1, a + k);
  }
}

void quantize_pack_lhs(const TokenStep& step, const TokenRows& x, int64_t row, const PackedLhs& lhs, float* scratch) {
  for (int64_t i = 0; i < x.rows; ++i) quantize_pack_token(step, x.data + i * x.stride, row + i, lhs, scratch);
}

// Panel: int8 [16 * blocks][k_padded].
void decode_rhs_panel(const Fp4Weight& weight, int64_t block, int blocks, uint8_t* panel) {
  const int64_t k_padded = stored_inputs(weight.k);
  const int64_t groups = groups_per_row(weight.k, weight.group);
  int8_t* row = reinterpret_cast<int8_t*>(panel);
  for (int64_t nb = block; nb < block + blocks; ++nb) {
    for (int64_t i = 0; i < 16; ++i, row += k_padded) {
      for (int64_t k = 0; k < k_padded; ++k) {
        const uint8_t pair = weight.codes[((nb * (k_padded / 32) + k / 32) * 16 + i) * 16 + k % 16];
        const int code = k % 32 < 16 ? pair & 15 : pair >> 4;
        const int64_t group = std::min(k / weight.group, groups - 1);
        row[k] = kDecode.value[weight.tables[(nb * groups + group) * 16 + i]][code];
      }
    }
  }
}

void pack_rhs(const int8_t* quads, int64_t k_padded, int blocks, uint8_t* panel) {
  int8_t* to = reinterpret_cast<int8_t*>(panel);
  for (int64_t n = 0; n < 16 * blocks; ++n) {
    const int8_t* from = quads + n / 16 * 16 * k_padded + n % 16 * 4;
    for (int64_t k = 0; k < k_padded; ++k) *to++ = from[k / 4 * 64 + k % 4];
  }
}

void pack_lhs_row(const float* values, int64_t k_padded, int64_t row, const PackedLhs& lhs) {
  int8_t* a = reinterpret_cast<int8_t*>(lhs.data + row * lhs.stride);
  for (int64_t k = 0; k < k_padded; ++k) a[k] = static_cast<int8_t>(rounded(values[k], 127.0f));
  lhs.offset[row] = 0;
}

void gemm(const Tile& t) {
  for (int row = 0; row < t.rows; ++row) {
    const int8_t* a = reinterpret_cast<const int8_t*>(t.lhs + row * t.lhs_stride);
    for (int64_t n = 0; n < t.channels; ++n) {
      const int8_t* w = reinterpret_cast<const int8_t*>(t.panel) + n * t.k_padded;
      int32_t acc = 0;
      for (int64_t k = 0; k < t.k_padded; ++k) acc += static_cast<int32_t>(a[k]) * w[k];
      t.out[row * t.out_stride + n] = static_cast<float>(acc) * t.scale[n] * t.token_scale[row] + t.bias[n];
    }
  }
}

int64_t dot_loop(int64_t rounds) {
  int8_t a[64];
  int8_t w[64];
  for (int i = 0; i < 64; ++i) a[i] = w[i] = static_cast<int8_t>(i);
  uint32_t acc = 0;
  for (int64_t round = 0; round < rounds; ++round) {
    for (int i = 0; i < 64; ++i) acc += static_cast<uint32_t>(a[i] * w[i]);
    a[round & 63] = static_cast<int8_t>(acc & 1);
  }
  volatile uint32_t kept = acc;
  static_cast<void>(kept);
  return 64 * rounds;
}

constexpr Backend make_backend() {
  Backend b;
  b.name = "scalar";
  b.supported = always;
  b.float_ops = &kFloatScalar;
  b.mr = 8;
  b.quantize_pack_lhs = quantize_pack_lhs;
  b.decode_rhs_panel = decode_rhs_panel;
  b.pack_rhs = pack_rhs;
  b.pack_lhs_row = pack_lhs_row;
  b.gemm = gemm;
  b.dot_loop = dot_loop;
  return b;
}

}  // namespace

constexpr Backend kScalar = make_backend();
static_assert(is_complete(kScalar));

}  // namespace hqdit
