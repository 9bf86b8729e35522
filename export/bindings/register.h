// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <executorch/extension/kernel_util/make_boxed_from_unboxed_functor.h>
#include <executorch/runtime/kernel/kernel_includes.h>
#include <executorch/runtime/kernel/operator_registry.h>

#include <cstdint>
#include <cstring>

namespace hqdit {

/// ExecuTorch's wrapper of a kernel reads as many arguments as the kernel has, whatever their number: of a program that
/// passes fewer it would take what lies behind them for values.
template <typename Function>
struct CheckedKernel {
  using Boxed = executorch::extension::WrapUnboxedIntoFunctor<Function>;
  using Arguments = typename Boxed::ContextRemovedArgsType;
  // The result follows the arguments, the last of which is the tensor that it lies in.
  static constexpr size_t kCount = executorch::extension::kernel_util_internal::size<Arguments>::value + 1;

  static void call(executorch::runtime::KernelRuntimeContext& context,
                   executorch::runtime::Span<executorch::runtime::EValue*> arguments) {
    if (arguments.size() == kCount) return Boxed::call(context, arguments);
    ET_LOG(Error,
           "%s: a call has %zu arguments instead of %zu; export the model again with the hqdit-mobile release "
           "that this library belongs to",
           Function::func_name_, arguments.size(), kCount);
    context.fail(executorch::runtime::Error::InvalidProgram);
  }
};

/// Registers a kernel, given by EXECUTORCH_FN, with ExecuTorch once: registering a name twice ends the process.
template <typename Function>
void register_unless_known(const char* name, Function) {
  for (const auto& known : executorch::runtime::get_registered_kernels()) {
    if (std::strcmp(known.name_, name) == 0) return;
  }
  static_cast<void>(
      executorch::runtime::register_kernel(executorch::runtime::Kernel(name, CheckedKernel<Function>::call)));
}

/// Whether the elements of a tensor can be read: a program can free a tensor, and can put one between two elements.
inline bool has_data(const executorch::aten::Tensor& tensor) {
  const auto address = reinterpret_cast<uintptr_t>(tensor.const_data_ptr());
  return tensor.numel() == 0 || (address != 0 && address % static_cast<uintptr_t>(tensor.element_size()) == 0);
}

/// The operators of executorch_float_ops.cpp.
void register_float_ops();

}  // namespace hqdit
