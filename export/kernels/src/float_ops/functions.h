// SPDX-License-Identifier: Apache-2.0
// All float operators over the F32x16 of the vector_*.h included before.
#pragma once

#include "float_ops/backend.h"
#include "float_ops/group_norm.h"
#include "float_ops/head.h"
#include "float_ops/head_int8.h"
#include "float_ops/kernels.h"
#include "float_ops/linear.h"

namespace hqdit {
namespace {

constexpr FloatBackend float_functions() {
  FloatBackend f;
  f.pack_head = pack_head;
  f.attend = attend;
  f.int8.quantize_keys = quantize_keys;
  f.int8.quantize_values = quantize_values;
  f.int8.softmax = softmax_int8;
  f.scale_rows = scale_rows;
  f.norm = norm_rows;
  f.gated = gated_rows;
  f.gelu = gelu_row;
  f.gelu_tile = gelu_tile;
  f.silu = silu_row;
  f.pack_weight = pack_weight;
  f.linear = linear_rows;
  f.group_norm = group_norm_group;
  return f;
}

}  // namespace
}  // namespace hqdit
