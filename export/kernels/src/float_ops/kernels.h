// SPDX-License-Identifier: Apache-2.0
// Norm, gate, GELU and SiLU over the F32x16 of the vector_*.h included before. docs/float-ops.md fixes every
// rounding.
#pragma once

#include <cmath>
#include <cstdint>

#include "float_ops/backend.h"
#include "gemm/prefetch.h"
#include "gemm/unroll.h"

namespace hqdit {
namespace {

/// 2^x for x up to 128: exactly 0 below -127, infinite above 127.5, otherwise at most 1 ulp off. A NaN stays.
inline F32x16 exp2_below_128(F32x16 x) {
  x = max(splat(-127.0f), x);
  // In [2^23, 2^24) floats are integers: the sum is rounded to one, and its low nine bits are round(x) + 127.
  const F32x16 shift = splat(0x1.8p23f + 127.0f);
  const F32x16 shifted = add(x, shift);
  const F32x16 f = sub(x, sub(shifted, shift));
  // Minimax in relative error, 2e-9, for 2^f - 1 over f in [-0.5, 0.5] without a constant term: 2^0 is exactly 1.
  F32x16 p = splat(0x1.41fbbcp-13f);
  p = fma(p, f, splat(0x1.5f3e52p-10f));
  p = fma(p, f, splat(0x1.3b2d4cp-7f));
  p = fma(p, f, splat(0x1.c6aee8p-5f));
  p = fma(p, f, splat(0x1.ebfbdcp-3f));
  p = fma(p, f, splat(0x1.62e430p-1f));
  p = fma(p, f, splat(1.0f));
  return mul(p, low_bits_to_exponent(shifted));
}

/// Calls whole(i) for each full run of 16 and part(i, rest) for what is left, if anything.
template <typename Whole, typename Part>
inline void by_sixteen(int64_t count, Whole whole, Part part) {
  int64_t i = 0;
  for (; i + 16 <= count; i += 16) whole(i);
  if (i < count) part(i, count - i);
}

/// `Rows` rows side by side, since each by itself waits for its mean and its variance.
template <int Rows>
inline void norm_rows_together(const NormRows& rows, const float* x, float* out) {
  const float dim = static_cast<float>(rows.dim);
  const auto each_row = [&](auto function) { unroll<Rows>([&](auto r) { function(r, x + r * rows.dim); }); };

  F32x16 total[Rows];
  unroll<Rows>([&](auto r) { total[r] = splat(0.0f); });
  by_sixteen(
      rows.dim,
      [&](int64_t i) {
        each_row([&](auto r, const float* row) {
          prefetch_to_read(row + i + Rows * rows.dim);
          total[r] = add(total[r], load(row + i));
        });
      },
      [&](int64_t i, int64_t rest) {
        each_row([&](auto r, const float* row) { total[r] = add(total[r], load_first(row + i, rest)); });
      });
  F32x16 mean[Rows];
  F32x16 squares[Rows];
  unroll<Rows>([&](auto r) {
    mean[r] = splat(sum(total[r]) / dim);
    squares[r] = splat(0.0f);
  });

  by_sixteen(
      rows.dim,
      [&](int64_t i) {
        each_row([&](auto r, const float* row) {
          prefetch_to_write(out + r * rows.dim + i);
          const F32x16 centered = sub(load(row + i), mean[r]);
          squares[r] = fma(centered, centered, squares[r]);
        });
      },
      [&](int64_t i, int64_t rest) {
        each_row([&](auto r, const float* row) {
          const F32x16 centered = keep_first(sub(load_first(row + i, rest), mean[r]), rest, 0.0f);
          squares[r] = fma(centered, centered, squares[r]);
        });
      });
  F32x16 inverse[Rows];
  unroll<Rows>([&](auto r) { inverse[r] = splat(1.0f / __builtin_sqrtf(sum(squares[r]) / dim + rows.eps)); });

  const auto finish = [&](int r, F32x16 value, F32x16 scale, F32x16 shift) {
    return fma(mul(sub(value, mean[r]), inverse[r]), add(splat(1.0f), scale), shift);
  };
  by_sixteen(
      rows.dim,
      [&](int64_t i) {
        const F32x16 scale = load(rows.scale + i);
        const F32x16 shift = load(rows.shift + i);
        each_row(
            [&](auto r, const float* row) { store(out + r * rows.dim + i, finish(r, load(row + i), scale, shift)); });
      },
      [&](int64_t i, int64_t rest) {
        const F32x16 scale = load_first(rows.scale + i, rest);
        const F32x16 shift = load_first(rows.shift + i, rest);
        each_row([&](auto r, const float* row) {
          store_first(out + r * rows.dim + i, finish(r, load_first(row + i, rest), scale, shift), rest);
        });
      });
}

inline void norm_rows(const NormRows& rows) {
  constexpr int kTogether = 4;
  int64_t row = 0;
  for (; row + kTogether <= rows.rows; row += kTogether) {
    norm_rows_together<kTogether>(rows, rows.x + row * rows.dim, rows.out + row * rows.dim);
  }
  for (; row < rows.rows; ++row) norm_rows_together<1>(rows, rows.x + row * rows.dim, rows.out + row * rows.dim);
}

inline void gated_rows(const GatedRows& rows) {
  for (int64_t row = 0; row < rows.rows; ++row) {
    const float* x = rows.x + row * rows.dim;
    const float* y = rows.y + row * rows.dim;
    float* out = rows.out + row * rows.dim;
    by_sixteen(
        rows.dim,
        [&](int64_t i) {
          prefetch_to_read(x + i + kFloatsAhead);
          prefetch_to_read(y + i + kFloatsAhead);
          prefetch_to_write(out + i + kFloatsAhead);
          store(out + i, fma(load(rows.gate + i), load(y + i), load(x + i)));
        },
        [&](int64_t i, int64_t rest) {
          const F32x16 gate = load_first(rows.gate + i, rest);
          store_first(out + i, fma(gate, load_first(y + i, rest), load_first(x + i, rest)), rest);
        });
  }
}

template <typename Function>
inline void map_row(const float* x, int64_t count, float* out, Function function) {
  by_sixteen(
      count, [&](int64_t i) { store(out + i, function(load(x + i))); },
      [&](int64_t i, int64_t rest) { store_first(out + i, function(load_first(x + i, rest)), rest); });
}

/// 1 + 2^(a b) for a b from -127 to 128.5: infinite above 127.5. Unlike above, a b is split without a rounding of its
/// own, and 2^f may be 9.4e-8 off: one coefficient less, and no more than half of that is seen in a sum below 2.
inline F32x16 one_plus_exp2(F32x16 a, F32x16 b) {
  const F32x16 shift = splat(0x1.8p23f + 127.0f);
  const F32x16 shifted = fma(a, b, shift);
  const F32x16 f = fma(a, b, sub(shift, shifted));
  F32x16 p = splat(0x1.5bda54p-10f);
  p = fma(p, f, splat(0x1.3ce8acp-7f));
  p = fma(p, f, splat(0x1.c6b6d8p-5f));
  p = fma(p, f, splat(0x1.ebf9c2p-3f));
  p = fma(p, f, splat(0x1.62e42ap-1f));
  p = fma(p, f, splat(1.0f));
  return fma(p, low_bits_to_exponent(shifted), splat(1.0f));
}

/// A NaN stays.
inline F32x16 clamp(F32x16 x, float low, float high) { return min(splat(high), max(splat(low), x)); }

/// x / 2 (1 + tanh(u)) = x / (1 + 2^(-2 u log2(e))), u = sqrt(2 / pi) (x + 0.044715 x^3).
inline F32x16 gelu(F32x16 value) {
  const F32x16 linear = splat(static_cast<float>(-2.302208198144325));
  const F32x16 cubic = splat(static_cast<float>(-0.1029432395800235));
  // From 2^127.97 to 1 + 2^-71: the quotient is 0 below and x itself above.
  const F32x16 v = clamp(value, -10.06f, 8.0f);
  return div(value, one_plus_exp2(v, fma(mul(v, v), cubic, linear)));
}

inline void gelu_row(const float* x, int64_t count, float* out) {
  map_row(x, count, out, [](F32x16 v) { return gelu(v); });
}

inline void gelu_tile(float* values, int64_t stride, int64_t rows, int64_t columns) {
  for (int64_t row = 0; row < rows; ++row) gelu_row(values + row * stride, columns, values + row * stride);
}

/// Not a function: map_row would call it through a pointer, 16 floats at a time.
constexpr auto silu = [](F32x16 value) {
  // From 2^127.97 to 1 + 2^-46, as in gelu_row.
  const F32x16 v = clamp(value, -88.7f, 32.0f);
  return div(value, one_plus_exp2(v, splat(static_cast<float>(-1.4426950408889634))));
};

inline void silu_row(const float* x, int64_t count, float* out) { map_row(x, count, out, silu); }

}  // namespace
}  // namespace hqdit
