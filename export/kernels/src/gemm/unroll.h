// SPDX-License-Identifier: Apache-2.0
// Loops that the compiler must unroll whatever its limits are: an array of registers stays in registers only if every
// index into it is a constant.
#pragma once

#include <utility>

namespace hqdit {
namespace {

template <int I>
struct Index {  // converts to int
  constexpr operator int() const { return I; }
};

template <class F, int... I>
[[gnu::always_inline]] inline void unroll_over(const F& body, std::integer_sequence<int, I...>) {
  (body(Index<I>{}), ...);
}

/// body(0), body(1), ... body(N - 1).
template <int N, class F>
[[gnu::always_inline]] inline void unroll(const F& body) {
  unroll_over(body, std::make_integer_sequence<int, N>{});
}

}  // namespace
}  // namespace hqdit
