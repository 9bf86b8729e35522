// SPDX-License-Identifier: Apache-2.0
// Threads for our operators. Between the operators of a step pass microseconds, so a thread that is done goes on
// looking for the next call for a while; ExecuTorch's pool lets it sleep after some 40 us on most systems, and to wake
// it takes as long as a small operator. A thread that comes late costs nothing: the caller does its share.
#pragma once

#include <cstdint>

namespace hqdit {

/// Runs fn(arg, i, i + 1) for each i in [0, count) and returns when all are done: 0 on the calling thread, each of the
/// others on a thread that gets it in every call, or on the calling thread. False, with nothing done, while another
/// thread is in here.
bool run_on_workers(int64_t count, void (*fn)(void* arg, int64_t begin, int64_t end), void* arg);

}  // namespace hqdit
