// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace hqdit {

/// As many threads as one operator is shared by, and a caller of the engine may ask for.
constexpr int32_t kMostThreads = 64;

}  // namespace hqdit
