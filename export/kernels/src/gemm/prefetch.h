// SPDX-License-Identifier: Apache-2.0
// Activations of a step do not fit the first caches, and the processor's own prefetching stops at the end of a page: a
// stream of floats asks for what comes a page later itself.
#pragma once

#include <cstdint>

namespace hqdit {
namespace {

constexpr int64_t kFloatsAhead = 1024;

inline void prefetch_to_read(const float* line) { __builtin_prefetch(line); }
inline void prefetch_to_write(const float* line) { __builtin_prefetch(line, 1); }

}  // namespace
}  // namespace hqdit
