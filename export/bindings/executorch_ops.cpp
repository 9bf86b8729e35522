// SPDX-License-Identifier: Apache-2.0
// hqdit::fp4_linear.out and hqdit::fp4_linear_gelu.out for ExecuTorch.
#include <executorch/runtime/core/exec_aten/util/tensor_util.h>
#include <executorch/runtime/kernel/kernel_includes.h>

#include <cstdint>
#include <limits>
#include <mutex>
#include <optional>
#include <string_view>

#include "c_api.h"
#include "executorch_threads.h"
#include "hqdit/fp4_linear.h"
#include "register.h"
#include "thread_scratch.h"

namespace {

using executorch::aten::ScalarType;
using executorch::aten::SizesType;
using executorch::aten::Tensor;
using executorch::runtime::Error;
using executorch::runtime::KernelRuntimeContext;
using hqdit::Epilogue;
using OptionalTensor = std::optional<Tensor>;

constexpr char kPlain[] = "hqdit::fp4_linear.out";
constexpr char kGelu[] = "hqdit::fp4_linear_gelu.out";
constexpr char kRepair[] = "export the model again with the hqdit-mobile release that this library belongs to";

bool dense(const char* op, const char* argument, const Tensor& tensor, ScalarType type, int64_t elements) {
  const bool good = tensor.scalar_type() == type && tensor.numel() == elements &&
                    executorch::runtime::tensor_is_default_dim_order(tensor);
  if (!good) {
    ET_LOG(Error, "%s: %s must be contiguous, of type %s and hold %lld elements, but is %s with %lld; %s", op, argument,
           executorch::runtime::toString(type), static_cast<long long>(elements),
           executorch::runtime::toString(tensor.scalar_type()), static_cast<long long>(tensor.numel()), kRepair);
    return false;
  }
  if (!hqdit::has_data(tensor)) {
    ET_LOG(Error, "%s: %s has no data, or none that is aligned; %s", op, argument, kRepair);
    return false;
  }
  return true;
}

bool activation_from(const char* op, std::string_view name, hqdit::Activation& activation) {
  const std::string_view names[] = {"int8", "fp4", "e2m1"};
  for (int32_t i = 0; i < 3; ++i) {
    if (name != names[i]) continue;
    activation = static_cast<hqdit::Activation>(i);
    return true;
  }
  ET_LOG(Error, "%s: activation must be int8, fp4 or e2m1, but is '%.*s'; %s", op, static_cast<int>(name.size()),
         name.data(), kRepair);
  return false;
}

bool shape_out(const char* op, const Tensor& x, int64_t out_features, Tensor& out) {
  SizesType sizes[executorch::runtime::kTensorDimensionLimit];
  const size_t rank = static_cast<size_t>(x.dim());
  for (size_t i = 0; i + 1 < rank; ++i) sizes[i] = static_cast<SizesType>(x.size(static_cast<ssize_t>(i)));
  sizes[rank - 1] = static_cast<SizesType>(out_features);
  if (executorch::runtime::resize_tensor(out, {sizes, rank}) == Error::Ok) return true;
  ET_LOG(Error, "%s: out cannot take the shape of x with %lld as its last size; %s", op,
         static_cast<long long>(out_features), kRepair);
  return false;
}

Error run(Epilogue epilogue, const Tensor& x, const Tensor& codes, const Tensor& tables, const Tensor& scale,
          const OptionalTensor& bias, const OptionalTensor& pre, int64_t out_features, int64_t group, int64_t rotation,
          std::string_view activation, int64_t activation_group, Tensor& out) {
  const char* op = epilogue == Epilogue::kGelu ? kGelu : kPlain;
  hqdit::Activation kind{};
  if (!activation_from(op, activation, kind)) return Error::InvalidArgument;
  if (x.dim() < 1 || out_features > std::numeric_limits<SizesType>::max()) {
    ET_LOG(Error, "%s: x must have at least one dimension and out_features must fit an int32; %s", op, kRepair);
    return Error::InvalidArgument;
  }
  const int64_t k = x.size(x.dim() - 1);
  const hqdit::Fp4Weight weight{codes.const_data_ptr<uint8_t>(),
                                tables.const_data_ptr<uint8_t>(),
                                scale.const_data_ptr<float>(),
                                bias ? bias->const_data_ptr<float>() : nullptr,
                                pre ? pre->const_data_ptr<float>() : nullptr,
                                out_features,
                                k,
                                group,
                                rotation};
  if (const char* problem = hqdit::fp4_linear_check(weight, kind, activation_group)) {
    ET_LOG(Error, "%s: %s; %s", op, problem, kRepair);
    return Error::InvalidArgument;
  }
  const hqdit::StoredSize size = hqdit::fp4_stored_size(weight);
  if (!dense(op, "x", x, ScalarType::Float, x.numel()) || !dense(op, "codes", codes, ScalarType::Byte, size.codes) ||
      !dense(op, "tables", tables, ScalarType::Byte, size.tables) ||
      !dense(op, "scale", scale, ScalarType::Float, out_features) ||
      (bias && !dense(op, "bias", *bias, ScalarType::Float, out_features)) ||
      (pre && !dense(op, "pre", *pre, ScalarType::Float, k))) {
    return Error::InvalidArgument;
  }
  const int64_t rows = x.numel() / k;
  if (!shape_out(op, x, out_features, out) || !dense(op, "out", out, ScalarType::Float, rows * out_features)) {
    return Error::InvalidArgument;
  }
  const hqdit::ParallelFor parallel = hqdit::thread_pool(std::numeric_limits<int64_t>::max());
  const size_t bytes = hqdit::fp4_linear_workspace(weight, rows, parallel);
  void* workspace = hqdit::thread_scratch(bytes);
  if (!workspace) {
    ET_LOG(Error, "%s: no memory for %zu bytes of workspace; close other apps or use a smaller batch", op, bytes);
    return Error::MemoryAllocationFailed;
  }
  hqdit::fp4_linear(weight, x.const_data_ptr<float>(), rows, kind, activation_group, epilogue,
                    out.mutable_data_ptr<float>(), workspace, parallel);
  return Error::Ok;
}

template <Epilogue kEpilogue>
Tensor& fp4_linear_out(KernelRuntimeContext& context, const Tensor& x, const Tensor& codes, const Tensor& tables,
                       const Tensor& scale, const OptionalTensor& bias, const OptionalTensor& pre, int64_t out_features,
                       int64_t group, int64_t rotation, std::string_view activation, int64_t activation_group,
                       Tensor& out) {
  const Error error = run(kEpilogue, x, codes, tables, scale, bias, pre, out_features, group, rotation, activation,
                          activation_group, out);
  if (error != Error::Ok) context.fail(error);
  return out;
}

}  // namespace

void hqdit_register_ops(void) {
  static std::once_flag once;
  std::call_once(once, [] {
    hqdit::register_unless_known(kPlain, EXECUTORCH_FN(fp4_linear_out<Epilogue::kNone>, kPlain));
    hqdit::register_unless_known(kGelu, EXECUTORCH_FN(fp4_linear_out<Epilogue::kGelu>, kGelu));
    hqdit::register_float_ops();
  });
}

#ifdef HQDIT_REGISTER_AT_LOAD
namespace {
const bool registered_at_load = (hqdit_register_ops(), true);
}
#endif
