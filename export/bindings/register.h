// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <executorch/runtime/kernel/operator_registry.h>

#include <cstring>

namespace hqdit {

/// Registers a kernel with ExecuTorch once: registering a name twice ends the process.
inline void register_unless_known(const executorch::runtime::Kernel& kernel) {
  for (const auto& known : executorch::runtime::get_registered_kernels()) {
    if (std::strcmp(known.name_, kernel.name_) == 0) return;
  }
  static_cast<void>(executorch::runtime::register_kernel(kernel));
}

/// The operators of executorch_float_ops.cpp.
void register_float_ops();

}  // namespace hqdit
