// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <iterator>
#include <string_view>

#include "float_operators.h"

namespace hqdit {

/// An operator that an exported program may call outside XNNPACK, and what it must be called with.
struct OperatorSignature {
  std::string_view name;  // with its overload
  /// A letter for each argument: f, l, u a tensor of float32, int64, uint8; o a float32 tensor or nothing; F, L a list
  /// of such tensors; i, d, b, s an integer, a float, a boolean, a text; I a list of integers. The last is what the
  /// result goes to, which must be one that can be written to.
  std::string_view arguments;
};

namespace signatures {

template <class Argument>
inline constexpr char kLetter = 0;
template <>
inline constexpr char kLetter<const View&> = 'f';
template <>
inline constexpr char kLetter<const View*> = 'o';
template <>
inline constexpr char kLetter<int64_t> = 'i';
template <>
inline constexpr char kLetter<double> = 'd';
template <>
inline constexpr char kLetter<bool> = 'b';

/// The letters of a function `bool run(Host&, Arguments...)` whose tensors are all float32.
template <class Function>
struct Letters;

template <class... Arguments>
struct Letters<bool (*)(Host&, Arguments...)> {
  static_assert(((kLetter<Arguments> != 0) && ...), "an argument that no float operator has had: give it a letter");
  static constexpr char kText[] = {kLetter<Arguments>..., 'f'};
};

struct Count {
  template <class Op>
  static constexpr void one(size_t& count) {
    ++count;
  }
};

constexpr size_t float_operators() {
  size_t count = 0;
  ops::for_each_float(Count(), count);
  return count;
}

struct Append {
  template <class Op, size_t N>
  static constexpr void one(std::array<OperatorSignature, N>& list, size_t& count) {
    constexpr auto& text = Letters<decltype(&Op::run)>::kText;
    list[count++] = {Op::kName, {text, sizeof text}};
  }
};

/// The FP4 layers, and the views and copies that XNNPACK does not take. An operator with several types has a line for
/// each.
inline constexpr OperatorSignature kOthers[] = {
    {"hqdit::fp4_linear.out", "fuufooiiisif"},
    {"hqdit::fp4_linear_gelu.out", "fuufooiiisif"},
    {"aten::alias_copy.out", "ff"},
    {"aten::cat.out", "Fif"},
    {"aten::cat.out", "Lil"},
    {"aten::embedding.out", "flibbf"},
    {"aten::expand_copy.out", "fIbf"},
    {"aten::split_with_sizes_copy.out", "fIiF"},
    {"aten::unsqueeze_copy.out", "fif"},
    {"dim_order_ops::_to_dim_order_copy.out", "lbIf"},
};

constexpr auto all() {
  std::array<OperatorSignature, float_operators() + std::size(kOthers)> list{};
  size_t count = 0;
  ops::for_each_float(Append(), list, count);
  for (const OperatorSignature& other : kOthers) list[count++] = other;
  return list;
}

}  // namespace signatures

/// Those that our exporter writes.
inline constexpr auto kOperators = signatures::all();

}  // namespace hqdit
