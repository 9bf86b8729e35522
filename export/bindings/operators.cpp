// SPDX-License-Identifier: Apache-2.0
#include "operators.h"

#include <algorithm>
#include <cstdio>
#include <initializer_list>

#include "hqdit/float_ops.h"

namespace hqdit::ops {
namespace {

constexpr const char* kActivations[] = {"int8", "fp4", "e2m1"};  // in the order of Activation

constexpr size_t kAnyRank = SIZE_MAX;
constexpr size_t kSomeRank = SIZE_MAX - 1;  // from 1 up

/// Whether a tensor is of a type, has `rank` sizes, and elements that can be read.
bool is(Host& host, const char* name, const View& view, size_t rank, Element element = Element::kFloat) {
  char problem[160];
  const bool floats = element == Element::kFloat;
  if (view.element != element) {
    std::snprintf(problem, sizeof problem, "%s must be of type %s", name, floats ? "float32" : "uint8");
  } else if (rank != kAnyRank && (rank == kSomeRank ? view.rank == 0 : view.rank != rank)) {
    std::snprintf(problem, sizeof problem, "%s must have %s%zu sizes, not %zu", name,
                  rank == kSomeRank ? "at least " : "", rank == kSomeRank ? 1 : rank, view.rank);
  } else if (!readable(view.data, view.count(), floats ? sizeof(float) : 1)) {
    std::snprintf(problem, sizeof problem, "%s has no data, or none that is aligned", name);
  } else {
    return true;
  }
  return host.refuse(problem);
}

bool has_elements(Host& host, const char* name, const View& view, int64_t wanted) {
  if (view.count() == wanted) return true;
  char problem[160];
  std::snprintf(problem, sizeof problem, "%s has %lld elements, but this layer needs %lld", name,
                static_cast<long long>(view.count()), static_cast<long long>(wanted));
  return host.refuse(problem);
}

bool same_sizes(const View& a, const View& b) {
  return a.rank == b.rank && std::equal(a.dims, a.dims + a.rank, b.dims);
}

bool output_like(Host& host, const View& x, float** data) { return host.output(x.dims, x.rank, data); }

bool output_of(Host& host, std::initializer_list<int64_t> dims, float** data) {
  return host.output(dims.begin(), dims.size(), data);
}

/// x's sizes with another last one.
bool output_with_last(Host& host, const View& x, int64_t last, float** data) {
  View shape = x;
  shape.dims[shape.rank - 1] = last;
  return host.output(shape.dims, shape.rank, data);
}

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

using Workspace = size_t (*)(const AttentionShape& shape, const ParallelFor& parallel);
using Run = void (*)(const AttentionShape& shape, const float* qkv, float* out, void* workspace,
                     const ParallelFor& parallel);

bool attend(Host& host, const View& qkv, int64_t heads, Workspace workspace, Run run) {
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

bool modulated(Host& host, const View& x, const View& modulation, std::initializer_list<int64_t> indices,
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

bool group_norm(Host& host, const View& x, const View& weight, const View& bias, const View* statistics, int64_t groups,
                double eps, bool silu) {
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

bool map(Host& host, const View& x, Map function) {
  if (!is(host, "x", x, kAnyRank)) return false;
  float* out = nullptr;
  if (!output_like(host, x, &out)) return false;
  function(x.floats(), x.count(), out, host.parallel());
  return true;
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

bool Attention::run(Host& host, const View& qkv, int64_t heads) {
  return attend(host, qkv, heads, attention_workspace, attention);
}

bool AttentionInt8::run(Host& host, const View& qkv, int64_t heads) {
  return attend(host, qkv, heads, attention_int8_workspace, attention_int8);
}

bool ModulatedNorm::run(Host& host, const View& x, const View& modulation, int64_t shift_index, int64_t scale_index,
                        double eps) {
  ModulatedShape shape{};
  if (!modulated(host, x, modulation, {shift_index, scale_index}, shape)) return false;
  float* out = nullptr;
  if (!output_like(host, x, &out)) return false;
  modulated_norm(shape, x.floats(), modulation.floats(), shift_index, scale_index, static_cast<float>(eps), out,
                 host.parallel());
  return true;
}

bool GatedAdd::run(Host& host, const View& x, const View& modulation, int64_t gate_index, const View& y) {
  ModulatedShape shape{};
  if (!modulated(host, x, modulation, {gate_index}, shape) || !is(host, "y", y, 3)) return false;
  if (!same_sizes(x, y)) return host.refuse("x and y must have the same sizes");
  float* out = nullptr;
  if (!output_like(host, x, &out)) return false;
  gated_add(shape, x.floats(), modulation.floats(), gate_index, y.floats(), out, host.parallel());
  return true;
}

bool GroupNorm::run(Host& host, const View& x, const View& weight, const View& bias, int64_t groups, double eps,
                    bool silu) {
  return group_norm(host, x, weight, bias, nullptr, groups, eps, silu);
}

bool GroupNormGiven::run(Host& host, const View& x, const View& weight, const View& bias, const View& statistics,
                         int64_t groups, double eps, bool silu) {
  return group_norm(host, x, weight, bias, &statistics, groups, eps, silu);
}

bool GeluTanh::run(Host& host, const View& x) { return map(host, x, gelu_tanh); }

bool Silu::run(Host& host, const View& x) { return map(host, x, silu_f32); }

bool Linear::run(Host& host, const View& x, const View& weight, const View* bias) {
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

bool TimestepEmbedding::run(Host& host, const View& timestep, const View& frequencies) {
  if (!is(host, "timestep", timestep, 1) || !is(host, "frequencies", frequencies, 1)) return false;
  const int64_t batch = timestep.dims[0], count = frequencies.dims[0];
  float* out = nullptr;
  if (!output_of(host, {batch, 2 * count}, &out)) return false;
  timestep_embedding(timestep.floats(), batch, frequencies.floats(), count, out);
  return true;
}

}  // namespace hqdit::ops
