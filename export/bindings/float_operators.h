// SPDX-License-Identifier: Apache-2.0
// The float operators, each once: its names and what it does with a caller's tensors. docs/float-ops.md has their
// definitions; hqdit_mobile/ops/float_ops.py is the same list for torch.
#pragma once

#include "hqdit/float_ops.h"
#include "operator.h"
#include "operator_checks.h"

namespace hqdit::ops {

using Workspace = size_t (*)(const AttentionShape& shape, const ParallelFor& parallel);
using Run = void (*)(const AttentionShape& shape, const float* qkv, float* out, void* workspace,
                     const ParallelFor& parallel);

inline bool attend(Host& host, const View& qkv, int64_t heads, Workspace workspace, Run run) {
  if (!is(host, "qkv", qkv, 3)) return false;
  const int64_t width = qkv.dims[2];
  if (heads < 1 || heads > width || width % (3 * heads) != 0) {
    return host.refuse("the last size of qkv must be a multiple of 3 * heads");
  }
  const AttentionShape shape{qkv.dims[0], qkv.dims[1], heads, width / (3 * heads)};
  if (const char* problem = attention_check(shape)) return host.refuse(problem);
  float* out = nullptr;
  if (!output_of(host, {shape.batch, shape.tokens, width / 3}, &out)) return false;
  const ParallelFor parallel = host.parallel();
  void* memory = host.scratch(workspace(shape, parallel));
  if (!memory) return false;
  run(shape, qkv.floats(), out, memory, parallel);
  return true;
}

inline bool modulated(Host& host, const View& x, const View& modulation, std::initializer_list<int64_t> indices,
                      ModulatedShape& shape) {
  if (!is(host, "x", x, 3) || !is(host, "modulation", modulation, 2)) return false;
  const int64_t dim = x.dims[2], columns = modulation.dims[1];
  if (dim < 1 || modulation.dims[0] != x.dims[0] || columns % dim != 0) {
    return host.refuse("modulation must be [batch, a multiple of the last size of x]");
  }
  shape = {x.dims[0], x.dims[1], dim, columns / dim};
  for (const int64_t index : indices) {
    if (const char* problem = modulated_check(shape, index)) return host.refuse(problem);
  }
  return true;
}

inline bool group_norm(Host& host, const View& x, const View& weight, const View& bias, const View* statistics,
                       int64_t groups, double eps, bool silu) {
  if (!is(host, "x", x, kSomeRank) || !is(host, "weight", weight, 1) || !is(host, "bias", bias, 1)) return false;
  if (x.rank < 2 || weight.dims[0] != x.dims[1] || bias.dims[0] != x.dims[1]) {
    return host.refuse("x must be [batch, channels, ...], weight and bias [channels]");
  }
  if (statistics) {
    if (!is(host, "statistics", *statistics, 2)) return false;
    if (statistics->dims[0] != groups || statistics->dims[1] != 2) {
      return host.refuse("statistics must be [groups, 2]");
    }
  }
  int64_t pixels = 1;
  for (size_t i = 2; i < x.rank; ++i) pixels *= x.dims[i];
  const GroupNormShape shape{x.dims[0], x.dims[1], pixels, groups};
  if (const char* problem = group_norm_check(shape)) return host.refuse(problem);
  float* out = nullptr;
  if (!output_like(host, x, &out)) return false;
  group_norm_f32(shape, x.floats(), weight.floats(), bias.floats(), static_cast<float>(eps), silu, out, host.parallel(),
                 statistics ? statistics->floats() : nullptr);
  return true;
}

using Map = void (*)(const float* x, int64_t count, float* out, const ParallelFor& parallel);

inline bool map(Host& host, const View& x, Map function) {
  if (!is(host, "x", x, kAnyRank)) return false;
  float* out = nullptr;
  if (!output_like(host, x, &out)) return false;
  function(x.floats(), x.count(), out, host.parallel());
  return true;
}

// kName: torch's and ExecuTorch's. kOnnx: the name in the ONNX domain "hqdit", where ONNX has a use for the operator;
// there kArguments names the attributes.

struct Attention {
  static constexpr const char* kName = "hqdit::attention.out";
  static constexpr const char* kOnnx = "QkvAttention";
  static constexpr const char* kArguments[] = {"qkv", "heads"};
  static bool run(Host& host, const View& qkv, int64_t heads) {
    return attend(host, qkv, heads, attention_workspace, attention);
  }
};

struct AttentionInt8 {
  static constexpr const char* kName = "hqdit::attention_int8.out";
  static constexpr const char* kOnnx = "QkvAttentionInt8";
  static constexpr const char* kArguments[] = {"qkv", "heads"};
  static bool run(Host& host, const View& qkv, int64_t heads) {
    return attend(host, qkv, heads, attention_int8_workspace, attention_int8);
  }
};

struct ModulatedNorm {
  static constexpr const char* kName = "hqdit::modulated_norm.out";
  static constexpr const char* kOnnx = "ModulatedNorm";
  static constexpr const char* kArguments[] = {"x", "modulation", "shift_index", "scale_index", "epsilon"};
  static bool run(Host& host, const View& x, const View& modulation, int64_t shift_index, int64_t scale_index,
                  double eps) {
    ModulatedShape shape{};
    if (!modulated(host, x, modulation, {shift_index, scale_index}, shape)) return false;
    float* out = nullptr;
    if (!output_like(host, x, &out)) return false;
    modulated_norm(shape, x.floats(), modulation.floats(), shift_index, scale_index, static_cast<float>(eps), out,
                   host.parallel());
    return true;
  }
};

struct GatedAdd {
  static constexpr const char* kName = "hqdit::gated_add.out";
  static constexpr const char* kOnnx = "GatedAdd";
  static constexpr const char* kArguments[] = {"x", "modulation", "gate_index", "y"};
  static bool run(Host& host, const View& x, const View& modulation, int64_t gate_index, const View& y) {
    ModulatedShape shape{};
    if (!modulated(host, x, modulation, {gate_index}, shape) || !is(host, "y", y, 3)) return false;
    if (!same_sizes(x, y)) return host.refuse("x and y must have the same sizes");
    float* out = nullptr;
    if (!output_like(host, x, &out)) return false;
    gated_add(shape, x.floats(), modulation.floats(), gate_index, y.floats(), out, host.parallel());
    return true;
  }
};

struct GroupNorm {
  static constexpr const char* kName = "hqdit::group_norm_f32.out";
  static bool run(Host& host, const View& x, const View& weight, const View& bias, int64_t groups, double eps,
                  bool silu) {
    return group_norm(host, x, weight, bias, nullptr, groups, eps, silu);
  }
};

struct GroupNormGiven {
  static constexpr const char* kName = "hqdit::group_norm_given_f32.out";
  static bool run(Host& host, const View& x, const View& weight, const View& bias, const View& statistics,
                  int64_t groups, double eps, bool silu) {
    return group_norm(host, x, weight, bias, &statistics, groups, eps, silu);
  }
};

struct GeluTanh {
  static constexpr const char* kName = "hqdit::gelu_tanh.out";
  static constexpr const char* kOnnx = "GeluTanh";
  static constexpr const char* kArguments[] = {"x"};
  static bool run(Host& host, const View& x) { return map(host, x, gelu_tanh); }
};

struct Silu {
  static constexpr const char* kName = "hqdit::silu_f32.out";
  static constexpr const char* kOnnx = "Silu";
  static constexpr const char* kArguments[] = {"x"};
  static bool run(Host& host, const View& x) { return map(host, x, silu_f32); }
};

struct Linear {
  static constexpr const char* kName = "hqdit::linear_f32.out";
  static constexpr const char* kOnnx = "Linear";
  static constexpr const char* kArguments[] = {"x", "weight", "bias"};
  static bool run(Host& host, const View& x, const View& weight, const View* bias) {
    if (!is(host, "x", x, kSomeRank) || !is(host, "weight", weight, 2) || (bias && !is(host, "bias", *bias, 1)))
      return false;
    const int64_t outputs = weight.dims[0], inputs = weight.dims[1];
    if (inputs < 1 || x.last() != inputs || (bias && bias->dims[0] != outputs)) {
      return host.refuse("x must be [..., K], weight [N, K] and bias [N]");
    }
    const LinearShape shape{x.count() / inputs, inputs, outputs};
    if (const char* problem = linear_check(shape)) return host.refuse(problem);
    float* out = nullptr;
    if (!output_with_last(host, x, outputs, &out)) return false;
    const ParallelFor parallel = host.parallel();
    void* memory = host.scratch(linear_workspace(shape, parallel));
    if (!memory) return false;
    linear_f32(shape, x.floats(), weight.floats(), bias ? bias->floats() : nullptr, out, memory, parallel);
    return true;
  }
};

struct TimestepEmbedding {
  static constexpr const char* kName = "hqdit::timestep_embedding.out";
  static constexpr const char* kOnnx = "TimestepEmbedding";
  static constexpr const char* kArguments[] = {"timestep", "frequencies"};
  static bool run(Host& host, const View& timestep, const View& frequencies) {
    if (!is(host, "timestep", timestep, 1) || !is(host, "frequencies", frequencies, 1)) return false;
    const int64_t batch = timestep.dims[0], count = frequencies.dims[0];
    float* out = nullptr;
    if (!output_of(host, {batch, 2 * count}, &out)) return false;
    timestep_embedding(timestep.floats(), batch, frequencies.floats(), count, out);
    return true;
  }
};

/// Calls Visit::template one<Op>(arguments...) for each.
template <class Visit, class... Arguments>
constexpr void for_each_float(Visit visit, Arguments&... arguments) {
  (void)visit;
  Visit::template one<Attention>(arguments...);
  Visit::template one<AttentionInt8>(arguments...);
  Visit::template one<ModulatedNorm>(arguments...);
  Visit::template one<GatedAdd>(arguments...);
  Visit::template one<GroupNorm>(arguments...);
  Visit::template one<GroupNormGiven>(arguments...);
  Visit::template one<GeluTanh>(arguments...);
  Visit::template one<Silu>(arguments...);
  Visit::template one<Linear>(arguments...);
  Visit::template one<TimestepEmbedding>(arguments...);
}

}  // namespace hqdit::ops
