// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace hqdit {

/// Starts ExecuTorch once per process, registers our operators and listens to its log: its error codes name no operator
/// and no file, its log does. What it logs still goes where it went before.
void start_executorch();

/// Forgets the calling thread's latest error message.
void clear_runtime_error();

/// The first error that ExecuTorch logged on this thread since; "" if none.
std::string runtime_error();

}  // namespace hqdit
