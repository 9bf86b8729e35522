// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace hqdit {

/// Highest memory of this process so far, in bytes: resident memory, on Apple systems the footprint, which is what they
/// limit. 0 if the system does not say. Allocates nothing.
uint64_t peak_memory_bytes();

}  // namespace hqdit
