// SPDX-License-Identifier: Apache-2.0
// Loops that the compiler must unroll whatever its limits are: an array of registers stays in registers only if every
// index into it is a constant.
#pragma once

#include <utility>

namespace hqdit {
namespace {

/// For files of one instruction set: std::min is a function that the linker shares among all files.
template <class T>
constexpr T least(T a, T b) {
  return b < a ? b : a;
}

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

template <class F, int N>
void call_with(const F& body) {
  body(Index<N>{});
}

template <class F, int... I>
void choose_count(int count, const F& body, std::integer_sequence<int, I...>) {
  static constexpr void (*kCalls[])(const F&) = {call_with<F, I + 1>...};
  kCalls[count - 1](body);
}

/// body(n) for the constant n from 1 to Most that is `count`: one jump through a table.
template <int Most, class F>
void with_count(int count, const F& body) {
  choose_count(count, body, std::make_integer_sequence<int, Most>{});
}

}  // namespace
}  // namespace hqdit
