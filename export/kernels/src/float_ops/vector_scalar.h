// SPDX-License-Identifier: Apache-2.0
// Sixteen floats in plain C++: the definition of what the other vector_*.h do with registers. Each of them gives
// F32x16 and the functions below; everything is local to the one source that includes it, since that source alone is
// compiled for its instruction set.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

namespace hqdit {
namespace {

/// Most rows and columns of one tile of a matrix product.
constexpr int kMr = 4;
constexpr int kNr = 16;

struct F32x16 {
  float lane[16];
};

template <typename Function>
inline F32x16 each(Function function) {
  F32x16 result;
  for (int i = 0; i < 16; ++i) result.lane[i] = function(i);
  return result;
}

inline F32x16 splat(float value) {
  return each([&](int) { return value; });
}
inline F32x16 load(const float* from) {
  return each([&](int i) { return from[i]; });
}
inline int8_t rounded(float value) { return value == value ? static_cast<int8_t>(std::nearbyint(value)) : int8_t{0}; }
/// Lanes rounded to the nearest integer, ties to even; they must round to -128 .. 127. A NaN becomes any of these.
inline void store_int8(int8_t* to, const F32x16& a) {
  for (int i = 0; i < 16; ++i) to[i] = rounded(a.lane[i]);
}
/// to[4 i + j] = lane i of rows[j], rounded as by store_int8.
inline void store_quads(int8_t* to, const F32x16 (&rows)[4]) {
  for (int i = 0; i < 16; ++i) {
    for (int j = 0; j < 4; ++j) to[4 * i + j] = rounded(rows[j].lane[i]);
  }
}
/// Zeros after the first `count`.
inline F32x16 load_first(const float* from, int64_t count) {
  return each([&](int i) { return i < count ? from[i] : 0.0f; });
}
inline void store(float* to, const F32x16& a) { std::memcpy(to, a.lane, sizeof(a.lane)); }
inline void store_first(float* to, const F32x16& a, int64_t count) {
  std::memcpy(to, a.lane, static_cast<size_t>(count) * sizeof(float));
}
/// `fill` after the first `count`.
inline F32x16 keep_first(const F32x16& a, int64_t count, float fill) {
  return each([&](int i) { return i < count ? a.lane[i] : fill; });
}

inline F32x16 add(const F32x16& a, const F32x16& b) {
  return each([&](int i) { return a.lane[i] + b.lane[i]; });
}
inline F32x16 sub(const F32x16& a, const F32x16& b) {
  return each([&](int i) { return a.lane[i] - b.lane[i]; });
}
inline F32x16 mul(const F32x16& a, const F32x16& b) {
  return each([&](int i) { return a.lane[i] * b.lane[i]; });
}
inline F32x16 div(const F32x16& a, const F32x16& b) {
  return each([&](int i) { return a.lane[i] / b.lane[i]; });
}
/// a * b + c, rounded once.
inline F32x16 fma(const F32x16& a, const F32x16& b, const F32x16& c) {
  return each([&](int i) { return std::fma(a.lane[i], b.lane[i], c.lane[i]); });
}
/// A NaN in b stays.
inline F32x16 max(const F32x16& a, const F32x16& b) {
  return each([&](int i) { return a.lane[i] > b.lane[i] ? a.lane[i] : b.lane[i]; });
}
/// A NaN in b stays.
inline F32x16 min(const F32x16& a, const F32x16& b) {
  return each([&](int i) { return a.lane[i] < b.lane[i] ? a.lane[i] : b.lane[i]; });
}
/// The bits of each lane, as an integer, times 2^23.
inline F32x16 low_bits_to_exponent(const F32x16& a) {
  return each([&](int i) {
    uint32_t bits;
    std::memcpy(&bits, &a.lane[i], sizeof(bits));
    bits <<= 23;
    float result;
    std::memcpy(&result, &bits, sizeof(result));
    return result;
  });
}

template <typename Combine>
inline float halve(F32x16 a, Combine combine) {
  for (int width = 8; width > 0; width /= 2) {
    for (int i = 0; i < width; ++i) a.lane[i] = combine(a.lane[i], a.lane[i + width]);
  }
  return a.lane[0];
}
/// Lane i + lane i + 8, then + 4, + 2, + 1.
inline float sum(const F32x16& a) {
  return halve(a, [](float x, float y) { return x + y; });
}
inline float largest(const F32x16& a) {
  return halve(a, [](float x, float y) { return x > y ? x : y; });
}

/// to[16 * i + j] = from[j * stride + i] for i, j < 4.
inline void transpose_quads(const float* from, int64_t stride, float* to) {
  for (int64_t i = 0; i < 4; ++i) {
    for (int64_t j = 0; j < 4; ++j) to[16 * i + j] = from[j * stride + i];
  }
}

}  // namespace
}  // namespace hqdit
