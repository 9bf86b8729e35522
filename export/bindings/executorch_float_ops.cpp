// SPDX-License-Identifier: Apache-2.0
// The operators of docs/float-ops.md for ExecuTorch.
#include <executorch/runtime/core/exec_aten/util/tensor_util.h>
#include <executorch/runtime/kernel/kernel_includes.h>

#include <algorithm>
#include <initializer_list>
#include <limits>

#include "executorch_threads.h"
#include "hqdit/float_ops.h"
#include "register.h"
#include "thread_scratch.h"

namespace {

using executorch::aten::ScalarType;
using executorch::aten::SizesType;
using executorch::aten::Tensor;
using OptionalTensor = executorch::aten::optional<Tensor>;
using executorch::runtime::Error;
using executorch::runtime::KernelRuntimeContext;

constexpr char kAttention[] = "hqdit::attention.out";
constexpr char kAttentionInt8[] = "hqdit::attention_int8.out";
constexpr char kNorm[] = "hqdit::modulated_norm.out";
constexpr char kGated[] = "hqdit::gated_add.out";
constexpr char kGroupNorm[] = "hqdit::group_norm_f32.out";
constexpr char kGroupNormGiven[] = "hqdit::group_norm_given_f32.out";
constexpr char kGelu[] = "hqdit::gelu_tanh.out";
constexpr char kSilu[] = "hqdit::silu_f32.out";
constexpr char kLinear[] = "hqdit::linear_f32.out";
constexpr char kTimestep[] = "hqdit::timestep_embedding.out";
constexpr char kRepair[] = "export the model again with the hqdit-mobile release that this library belongs to";
constexpr char kNoMemory[] = "no memory for the workspace; close other apps or use a smaller batch";

hqdit::ParallelFor pool() { return hqdit::thread_pool(std::numeric_limits<int64_t>::max()); }

bool refuse(const char* op, const char* problem) {
  ET_LOG(Error, "%s: %s; %s", op, problem, kRepair);
  return false;
}

bool dense(const char* op, const char* argument, const Tensor& tensor, ssize_t dimensions) {
  if (tensor.scalar_type() == ScalarType::Float && tensor.dim() == dimensions &&
      executorch::runtime::tensor_is_default_dim_order(tensor)) {
    if (hqdit::has_data(tensor)) return true;
    ET_LOG(Error, "%s: %s has no data, or none that is aligned; %s", op, argument, kRepair);
    return false;
  }
  ET_LOG(Error, "%s: %s must be contiguous float32 with %zd dimensions, but is %s with %zd; %s", op, argument,
         dimensions, executorch::runtime::toString(tensor.scalar_type()), tensor.dim(), kRepair);
  return false;
}

bool same_shape(const Tensor& a, const Tensor& b) {
  if (a.dim() != b.dim()) return false;
  for (ssize_t i = 0; i < a.dim(); ++i) {
    if (a.size(i) != b.size(i)) return false;
  }
  return true;
}

bool resize_out(const char* op, Tensor& out, executorch::aten::ArrayRef<SizesType> sizes) {
  if (executorch::runtime::resize_tensor(out, sizes) != Error::Ok) {
    return refuse(op, "out cannot take the shape of the result");
  }
  return dense(op, "out", out, static_cast<ssize_t>(sizes.size()));
}

bool shape_out(const char* op, Tensor& out, std::initializer_list<int64_t> shape) {
  SizesType sizes[executorch::runtime::kTensorDimensionLimit];
  size_t rank = 0;
  for (const int64_t size : shape) sizes[rank++] = static_cast<SizesType>(size);
  return resize_out(op, out, {sizes, rank});
}

bool shape_out_like(const char* op, Tensor& out, const Tensor& x) { return resize_out(op, out, x.sizes()); }

struct Attention {
  const char* op;
  size_t (*workspace)(const hqdit::AttentionShape& shape, const hqdit::ParallelFor& parallel);
  void (*run)(const hqdit::AttentionShape& shape, const float* qkv, float* out, void* workspace,
              const hqdit::ParallelFor& parallel);
};

bool run_attention(const Attention& attention, const Tensor& qkv, int64_t heads, Tensor& out) {
  if (!dense(attention.op, "qkv", qkv, 3)) return false;
  if (heads < 1 || heads > qkv.size(2) || qkv.size(2) % (3 * heads) != 0) {
    return refuse(attention.op, "the last size of qkv must be three times heads times the size of a head");
  }
  const hqdit::AttentionShape shape{qkv.size(0), qkv.size(1), heads, qkv.size(2) / (3 * heads)};
  if (const char* problem = hqdit::attention_check(shape)) return refuse(attention.op, problem);
  if (!shape_out(attention.op, out, {shape.batch, shape.tokens, qkv.size(2) / 3})) return false;
  const hqdit::ParallelFor parallel = pool();
  void* workspace = hqdit::thread_scratch(attention.workspace(shape, parallel));
  if (!workspace) return refuse(attention.op, kNoMemory);
  attention.run(shape, qkv.const_data_ptr<float>(), out.mutable_data_ptr<float>(), workspace, parallel);
  return true;
}

bool modulated_shape(const char* op, const Tensor& x, const Tensor& modulation, std::initializer_list<int64_t> indices,
                     hqdit::ModulatedShape& shape) {
  if (!dense(op, "x", x, 3) || !dense(op, "modulation", modulation, 2)) return false;
  if (x.size(2) < 1 || modulation.size(0) != x.size(0) || modulation.size(1) % x.size(2) != 0) {
    return refuse(op, "modulation must have the batch of x and a multiple of its last size");
  }
  shape = {x.size(0), x.size(1), x.size(2), modulation.size(1) / x.size(2)};
  for (const int64_t index : indices) {
    if (const char* problem = hqdit::modulated_check(shape, index)) return refuse(op, problem);
  }
  return true;
}

bool run_norm(const Tensor& x, const Tensor& modulation, int64_t shift, int64_t scale, double eps, Tensor& out) {
  hqdit::ModulatedShape shape{};
  if (!modulated_shape(kNorm, x, modulation, {shift, scale}, shape) || !shape_out_like(kNorm, out, x)) return false;
  hqdit::modulated_norm(shape, x.const_data_ptr<float>(), modulation.const_data_ptr<float>(), shift, scale,
                        static_cast<float>(eps), out.mutable_data_ptr<float>(), pool());
  return true;
}

bool run_gated(const Tensor& x, const Tensor& modulation, int64_t gate, const Tensor& y, Tensor& out) {
  hqdit::ModulatedShape shape{};
  if (!modulated_shape(kGated, x, modulation, {gate}, shape) || !dense(kGated, "y", y, 3)) return false;
  if (!same_shape(x, y)) return refuse(kGated, "y must have the shape of x");
  if (!shape_out_like(kGated, out, x)) return false;
  hqdit::gated_add(shape, x.const_data_ptr<float>(), modulation.const_data_ptr<float>(), gate,
                   y.const_data_ptr<float>(), out.mutable_data_ptr<float>(), pool());
  return true;
}

/// `statistics`: nullptr for those of x.
bool run_group_norm(const char* op, const Tensor& x, const Tensor& weight, const Tensor& bias, const Tensor* statistics,
                    int64_t groups, double eps, bool silu, Tensor& out) {
  if (!dense(op, "x", x, x.dim()) || !dense(op, "weight", weight, 1) || !dense(op, "bias", bias, 1)) return false;
  if (x.dim() < 2 || weight.size(0) != x.size(1) || bias.size(0) != x.size(1)) {
    return refuse(op, "x must be [batch, channels, ...], weight and bias [channels]");
  }
  if (statistics != nullptr) {
    if (!dense(op, "statistics", *statistics, 2)) return false;
    if (statistics->size(0) != groups || statistics->size(1) != 2) return refuse(op, "statistics must be [groups, 2]");
  }
  int64_t pixels = 1;
  for (ssize_t i = 2; i < x.dim(); ++i) pixels *= x.size(i);
  const hqdit::GroupNormShape shape{x.size(0), x.size(1), pixels, groups};
  if (const char* problem = hqdit::group_norm_check(shape)) return refuse(op, problem);
  if (!shape_out_like(op, out, x)) return false;
  hqdit::group_norm_f32(shape, x.const_data_ptr<float>(), weight.const_data_ptr<float>(), bias.const_data_ptr<float>(),
                        static_cast<float>(eps), silu, out.mutable_data_ptr<float>(), pool(),
                        statistics != nullptr ? statistics->const_data_ptr<float>() : nullptr);
  return true;
}

using Map = void (*)(const float* x, int64_t count, float* out, const hqdit::ParallelFor& parallel);

bool run_map(const char* op, Map map, const Tensor& x, Tensor& out) {
  if (!dense(op, "x", x, x.dim()) || !shape_out_like(op, out, x)) return false;
  map(x.const_data_ptr<float>(), x.numel(), out.mutable_data_ptr<float>(), pool());
  return true;
}

bool run_linear(const Tensor& x, const Tensor& weight, const OptionalTensor& bias, Tensor& out) {
  if (!dense(kLinear, "x", x, x.dim()) || !dense(kLinear, "weight", weight, 2)) return false;
  if (bias && !dense(kLinear, "bias", *bias, 1)) return false;
  if (x.dim() < 1 || x.size(x.dim() - 1) != weight.size(1) || (bias && bias->size(0) != weight.size(0))) {
    return refuse(kLinear, "weight must be [outputs, last size of x] and bias [outputs]");
  }
  const int64_t inputs = weight.size(1);
  const hqdit::LinearShape shape{inputs > 0 ? x.numel() / inputs : 0, inputs, weight.size(0)};
  if (const char* problem = hqdit::linear_check(shape)) return refuse(kLinear, problem);
  SizesType sizes[executorch::runtime::kTensorDimensionLimit];
  const size_t rank = static_cast<size_t>(x.dim());
  std::copy(x.sizes().begin(), x.sizes().end(), sizes);
  sizes[rank - 1] = weight.sizes()[0];
  if (!resize_out(kLinear, out, {sizes, rank})) return false;
  const hqdit::ParallelFor parallel = pool();
  void* workspace = hqdit::thread_scratch(hqdit::linear_workspace(shape, parallel));
  if (!workspace) return refuse(kLinear, kNoMemory);
  hqdit::linear_f32(shape, x.const_data_ptr<float>(), weight.const_data_ptr<float>(),
                    bias ? bias->const_data_ptr<float>() : nullptr, out.mutable_data_ptr<float>(), workspace, parallel);
  return true;
}

bool run_timestep(const Tensor& timestep, const Tensor& frequencies, Tensor& out) {
  if (!dense(kTimestep, "timestep", timestep, 1) || !dense(kTimestep, "frequencies", frequencies, 1)) return false;
  if (!shape_out(kTimestep, out, {timestep.size(0), 2 * frequencies.size(0)})) return false;
  hqdit::timestep_embedding(timestep.const_data_ptr<float>(), timestep.size(0), frequencies.const_data_ptr<float>(),
                            frequencies.size(0), out.mutable_data_ptr<float>());
  return true;
}

Tensor& finish(KernelRuntimeContext& context, bool good, Tensor& out) {
  if (!good) context.fail(Error::InvalidArgument);
  return out;
}

Tensor& attention_out(KernelRuntimeContext& context, const Tensor& qkv, int64_t heads, Tensor& out) {
  const Attention attention{kAttention, hqdit::attention_workspace, hqdit::attention};
  return finish(context, run_attention(attention, qkv, heads, out), out);
}

Tensor& attention_int8_out(KernelRuntimeContext& context, const Tensor& qkv, int64_t heads, Tensor& out) {
  const Attention attention{kAttentionInt8, hqdit::attention_int8_workspace, hqdit::attention_int8};
  return finish(context, run_attention(attention, qkv, heads, out), out);
}

Tensor& modulated_norm_out(KernelRuntimeContext& context, const Tensor& x, const Tensor& modulation,
                           int64_t shift_index, int64_t scale_index, double eps, Tensor& out) {
  return finish(context, run_norm(x, modulation, shift_index, scale_index, eps, out), out);
}

Tensor& gated_add_out(KernelRuntimeContext& context, const Tensor& x, const Tensor& modulation, int64_t gate_index,
                      const Tensor& y, Tensor& out) {
  return finish(context, run_gated(x, modulation, gate_index, y, out), out);
}

Tensor& group_norm_out(KernelRuntimeContext& context, const Tensor& x, const Tensor& weight, const Tensor& bias,
                       int64_t groups, double eps, bool silu, Tensor& out) {
  return finish(context, run_group_norm(kGroupNorm, x, weight, bias, nullptr, groups, eps, silu, out), out);
}

Tensor& group_norm_given_out(KernelRuntimeContext& context, const Tensor& x, const Tensor& weight, const Tensor& bias,
                             const Tensor& statistics, int64_t groups, double eps, bool silu, Tensor& out) {
  return finish(context, run_group_norm(kGroupNormGiven, x, weight, bias, &statistics, groups, eps, silu, out), out);
}

Tensor& gelu_out(KernelRuntimeContext& context, const Tensor& x, Tensor& out) {
  return finish(context, run_map(kGelu, hqdit::gelu_tanh, x, out), out);
}

Tensor& silu_out(KernelRuntimeContext& context, const Tensor& x, Tensor& out) {
  return finish(context, run_map(kSilu, hqdit::silu_f32, x, out), out);
}

Tensor& linear_out(KernelRuntimeContext& context, const Tensor& x, const Tensor& weight, const OptionalTensor& bias,
                   Tensor& out) {
  return finish(context, run_linear(x, weight, bias, out), out);
}

Tensor& timestep_out(KernelRuntimeContext& context, const Tensor& timestep, const Tensor& frequencies, Tensor& out) {
  return finish(context, run_timestep(timestep, frequencies, out), out);
}

}  // namespace

void hqdit::register_float_ops() {
  register_unless_known(kAttention, EXECUTORCH_FN(attention_out, kAttention));
  register_unless_known(kAttentionInt8, EXECUTORCH_FN(attention_int8_out, kAttentionInt8));
  register_unless_known(kNorm, EXECUTORCH_FN(modulated_norm_out, kNorm));
  register_unless_known(kGated, EXECUTORCH_FN(gated_add_out, kGated));
  register_unless_known(kGroupNorm, EXECUTORCH_FN(group_norm_out, kGroupNorm));
  register_unless_known(kGroupNormGiven, EXECUTORCH_FN(group_norm_given_out, kGroupNormGiven));
  register_unless_known(kGelu, EXECUTORCH_FN(gelu_out, kGelu));
  register_unless_known(kSilu, EXECUTORCH_FN(silu_out, kSilu));
  register_unless_known(kLinear, EXECUTORCH_FN(linear_out, kLinear));
  register_unless_known(kTimestep, EXECUTORCH_FN(timestep_out, kTimestep));
}
