// SPDX-License-Identifier: Apache-2.0
#include "operators.h"

#include <algorithm>
#include <cstdio>

#include "operator_checks.h"

namespace hqdit::ops {
namespace {

constexpr const char* kActivations[] = {"int8", "fp4", "e2m1"};  // in the order of Activation

bool linear(Host& host, const View& x, const View& codes, const View& tables, const View& scale, const View* bias,
            const View* pre, int64_t out_features, int64_t group, int64_t rotation, std::string_view activation,
            int64_t activation_group, Epilogue epilogue) {
  const auto* named = std::find(std::begin(kActivations), std::end(kActivations), activation);
  if (named == std::end(kActivations)) {
    char problem[160];
    std::snprintf(problem, sizeof problem, "activation must be int8, fp4 or e2m1, but is '%.*s'",
                  static_cast<int>(std::min<size_t>(activation.size(), 40)), activation.data());
    return host.refuse(problem);
  }
  const auto kind = static_cast<Activation>(named - std::begin(kActivations));
  if (!is(host, "x", x, kSomeRank) || !is(host, "codes", codes, kAnyRank, Element::kByte) ||
      !is(host, "tables", tables, kAnyRank, Element::kByte) || !is(host, "scale", scale, kAnyRank) ||
      (bias && !is(host, "bias", *bias, kAnyRank)) || (pre && !is(host, "pre", *pre, kAnyRank))) {
    return false;
  }
  const int64_t k = x.last();
  const Fp4Weight weight{codes.bytes(),
                         tables.bytes(),
                         scale.floats(),
                         bias ? bias->floats() : nullptr,
                         pre ? pre->floats() : nullptr,
                         out_features,
                         k,
                         group,
                         rotation};
  if (const char* problem = fp4_linear_check(weight, kind, activation_group)) return host.refuse(problem);
  const StoredSize stored = fp4_stored_size(weight);
  if (!has_elements(host, "codes", codes, stored.codes) || !has_elements(host, "tables", tables, stored.tables) ||
      !has_elements(host, "scale", scale, out_features) || (bias && !has_elements(host, "bias", *bias, out_features)) ||
      (pre && !has_elements(host, "pre", *pre, k))) {
    return false;
  }
  if (host.doubts_tables()) {
    if (const char* problem = fp4_tables_check(weight)) return host.refuse(problem);
  }
  return run_fp4_linear(host, weight, x, kind, activation_group, epilogue);
}

}  // namespace

bool run_fp4_linear(Host& host, const Fp4Weight& weight, const View& x, Activation activation, int64_t activation_group,
                    Epilogue epilogue) {
  const int64_t rows = x.count() / weight.k;
  float* out = nullptr;
  if (!output_with_last(host, x, weight.n, &out)) return false;
  const ParallelFor parallel = host.parallel();
  void* memory = host.scratch(fp4_linear_workspace(weight, rows, parallel));
  if (!memory) return false;
  fp4_linear(weight, x.floats(), rows, activation, activation_group, epilogue, out, memory, parallel);
  return true;
}

bool Fp4Linear::run(Host& host, const View& x, const View& codes, const View& tables, const View& scale,
                    const View* bias, const View* pre, int64_t out_features, int64_t group, int64_t rotation,
                    std::string_view activation, int64_t activation_group) {
  return linear(host, x, codes, tables, scale, bias, pre, out_features, group, rotation, activation, activation_group,
                Epilogue::kNone);
}

bool Fp4LinearGelu::run(Host& host, const View& x, const View& codes, const View& tables, const View& scale,
                        const View* bias, const View* pre, int64_t out_features, int64_t group, int64_t rotation,
                        std::string_view activation, int64_t activation_group) {
  return linear(host, x, codes, tables, scale, bias, pre, out_features, group, rotation, activation, activation_group,
                Epilogue::kGelu);
}

}  // namespace hqdit::ops
