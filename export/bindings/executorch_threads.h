// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "hqdit/fp4_linear.h"

namespace hqdit {

/// ExecuTorch's pool, at most `threads` of it.
ParallelFor thread_pool(int64_t threads);

}  // namespace hqdit
