// SPDX-License-Identifier: Apache-2.0
// What a host adds to the kernels: memory that stays allocated between calls, and the runtime's threads.
#pragma once

#include <cstddef>

#include "hqdit/fp4_linear.h"

namespace hqdit {

/// At least `bytes` with 64-byte alignment, valid until this thread's next call; nullptr if memory ran out. It grows
/// and is never returned before the thread ends, so that a model's second step allocates nothing.
void* thread_scratch(size_t bytes);

/// ExecuTorch's pool, at most `threads` of it.
ParallelFor thread_pool(int64_t threads);

}  // namespace hqdit
