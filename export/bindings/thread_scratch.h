// SPDX-License-Identifier: Apache-2.0
// Memory for kernels that stays allocated between calls.
#pragma once

#include <cstddef>

namespace hqdit {

/// At least `bytes` with 64-byte alignment, valid until this thread's next call; nullptr if memory ran out, or
/// hqdit_limit_workspace() does not allow as much. It grows
/// and is never returned before the thread ends, so that a model's second step allocates nothing.
void* thread_scratch(size_t bytes);

}  // namespace hqdit
