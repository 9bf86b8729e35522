// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace hqdit {

/// Highest resident memory of this process so far, in bytes; 0 if the system does not say. Allocates nothing.
uint64_t peak_memory_bytes();

}  // namespace hqdit
