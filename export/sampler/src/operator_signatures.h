// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

namespace hqdit {

/// An operator that an exported program may call outside XNNPACK, and what it must be called with.
struct OperatorSignature {
  std::string_view name;  // with its overload
  /// A letter for each argument: f, l, u a tensor of float32, int64, uint8; o a float32 tensor or nothing; F, L a list
  /// of such tensors; i, d, b, s an integer, a float, a boolean, a text; I a list of integers. The last is what the
  /// result goes to, which must be one that can be written to.
  std::string_view arguments;
};

/// Those that our exporter writes: our own, and the views and copies that XNNPACK does not take. An operator with
/// several types has a line for each.
inline constexpr OperatorSignature kOperators[] = {
    {"hqdit::attention.out", "fif"},
    {"hqdit::attention_int8.out", "fif"},
    {"hqdit::fp4_linear.out", "fuufooiiisif"},
    {"hqdit::fp4_linear_gelu.out", "fuufooiiisif"},
    {"hqdit::gated_add.out", "ffiff"},
    {"hqdit::gelu_tanh.out", "ff"},
    {"hqdit::group_norm_f32.out", "fffidbf"},
    {"hqdit::group_norm_given_f32.out", "ffffidbf"},
    {"hqdit::linear_f32.out", "ffof"},
    {"hqdit::modulated_norm.out", "ffiidf"},
    {"hqdit::silu_f32.out", "ff"},
    {"hqdit::timestep_embedding.out", "fff"},
    {"aten::alias_copy.out", "ff"},
    {"aten::cat.out", "Fif"},
    {"aten::cat.out", "Lil"},
    {"aten::embedding.out", "flibbf"},
    {"aten::expand_copy.out", "fIbf"},
    {"aten::split_with_sizes_copy.out", "fIiF"},
    {"aten::unsqueeze_copy.out", "fif"},
    {"dim_order_ops::_to_dim_order_copy.out", "lbIf"},
};

}  // namespace hqdit
