// SPDX-License-Identifier: Apache-2.0
// Our operators: those of FP4 layers, which docs/fp4-linear.md defines, and all together.
#pragma once

#include "float_operators.h"
#include "operator.h"

namespace hqdit::ops {

// They have ONNX nodes of their own (ort_fp4_linear.h), which look at weights once.

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

/// fp4_linear on weights that have been checked; fp4_linear_check and the sizes of codes and tables are the caller's.
bool run_fp4_linear(Host& host, const Fp4Weight& weight, const View& x, Activation activation, int64_t activation_group,
                    Epilogue epilogue);

/// Calls Visit::template one<Op>(arguments...) for every operator.
template <class Visit, class... Arguments>
void for_each(Visit visit, Arguments&... arguments) {
  Visit::template one<Fp4Linear>(arguments...);
  Visit::template one<Fp4LinearGelu>(arguments...);
  for_each_float(visit, arguments...);
}

}  // namespace hqdit::ops
