// SPDX-License-Identifier: Apache-2.0
// Our operators, each once: its names and what it does with a caller's tensors. docs/fp4-linear.md and
// docs/float-ops.md are their definitions; hqdit_mobile/ops has the same list for torch.
#pragma once

#include "operator.h"

namespace hqdit::ops {

// kName: torch's and ExecuTorch's. kOnnx: the name in the ONNX domain "hqdit", where ONNX has a use for the operator;
// there kArguments names the attributes. FP4 layers have ONNX nodes of their own (ort_fp4_linear.h), which look at
// weights once.

struct Fp4Linear {
  static constexpr const char* kName = "hqdit::fp4_linear.out";
  static bool run(Host& host, const View& x, const View& codes, const View& tables, const View& scale, const View* bias,
                  const View* pre, int64_t out_features, int64_t group, int64_t rotation, std::string_view activation,
                  int64_t activation_group);
};

struct Fp4LinearGelu {
  static constexpr const char* kName = "hqdit::fp4_linear_gelu.out";
  static bool run(Host& host, const View& x, const View& codes, const View& tables, const View& scale, const View* bias,
                  const View* pre, int64_t out_features, int64_t group, int64_t rotation, std::string_view activation,
                  int64_t activation_group);
};

struct Attention {
  static constexpr const char* kName = "hqdit::attention.out";
  static constexpr const char* kOnnx = "QkvAttention";
  static constexpr const char* kArguments[] = {"qkv", "heads"};
  static bool run(Host& host, const View& qkv, int64_t heads);
};

struct AttentionInt8 {
  static constexpr const char* kName = "hqdit::attention_int8.out";
  static constexpr const char* kOnnx = "QkvAttentionInt8";
  static constexpr const char* kArguments[] = {"qkv", "heads"};
  static bool run(Host& host, const View& qkv, int64_t heads);
};

struct ModulatedNorm {
  static constexpr const char* kName = "hqdit::modulated_norm.out";
  static constexpr const char* kOnnx = "ModulatedNorm";
  static constexpr const char* kArguments[] = {"x", "modulation", "shift_index", "scale_index", "epsilon"};
  static bool run(Host& host, const View& x, const View& modulation, int64_t shift_index, int64_t scale_index,
                  double eps);
};

struct GatedAdd {
  static constexpr const char* kName = "hqdit::gated_add.out";
  static constexpr const char* kOnnx = "GatedAdd";
  static constexpr const char* kArguments[] = {"x", "modulation", "gate_index", "y"};
  static bool run(Host& host, const View& x, const View& modulation, int64_t gate_index, const View& y);
};

struct GroupNorm {
  static constexpr const char* kName = "hqdit::group_norm_f32.out";
  static bool run(Host& host, const View& x, const View& weight, const View& bias, int64_t groups, double eps,
                  bool silu);
};

struct GroupNormGiven {
  static constexpr const char* kName = "hqdit::group_norm_given_f32.out";
  static bool run(Host& host, const View& x, const View& weight, const View& bias, const View& statistics,
                  int64_t groups, double eps, bool silu);
};

struct GeluTanh {
  static constexpr const char* kName = "hqdit::gelu_tanh.out";
  static constexpr const char* kOnnx = "GeluTanh";
  static constexpr const char* kArguments[] = {"x"};
  static bool run(Host& host, const View& x);
};

struct Silu {
  static constexpr const char* kName = "hqdit::silu_f32.out";
  static constexpr const char* kOnnx = "Silu";
  static constexpr const char* kArguments[] = {"x"};
  static bool run(Host& host, const View& x);
};

struct Linear {
  static constexpr const char* kName = "hqdit::linear_f32.out";
  static constexpr const char* kOnnx = "Linear";
  static constexpr const char* kArguments[] = {"x", "weight", "bias"};
  static bool run(Host& host, const View& x, const View& weight, const View* bias);
};

struct TimestepEmbedding {
  static constexpr const char* kName = "hqdit::timestep_embedding.out";
  static constexpr const char* kOnnx = "TimestepEmbedding";
  static constexpr const char* kArguments[] = {"timestep", "frequencies"};
  static bool run(Host& host, const View& timestep, const View& frequencies);
};

/// fp4_linear on weights that have been checked; fp4_linear_check and the sizes of codes and tables are the caller's.
bool run_fp4_linear(Host& host, const Fp4Weight& weight, const View& x, Activation activation, int64_t activation_group,
                    Epilogue epilogue);

/// Calls Visit::template one<Op>(arguments...) for every operator.
template <class Visit, class... Arguments>
void for_each(Visit visit, Arguments&... arguments) {
  (void)visit;
  Visit::template one<Fp4Linear>(arguments...);
  Visit::template one<Fp4LinearGelu>(arguments...);
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
