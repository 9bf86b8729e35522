// SPDX-License-Identifier: Apache-2.0
#include "executorch_threads.h"

#include <executorch/runtime/kernel/thread_parallel_interface.h>

#include <algorithm>

#include "worker_pool.h"

namespace hqdit {

ParallelFor thread_pool(int64_t threads) {
  const int64_t available = executorch::extension::get_thread_count();
  const int64_t used = std::max<int64_t>(1, std::min(threads, available));
  if (used == 1) return serial();
  const auto run = [](void*, int64_t count, void (*fn)(void*, int64_t, int64_t), void* arg) {
    if (run_on_workers(count, fn, arg)) return;
    const auto part = [&](int64_t begin, int64_t end) { fn(arg, begin, end); };
    // It fails only for a negative range or grain.
    static_cast<void>(executorch::extension::parallel_for(0, count, 1, part));
  };
  return {run, nullptr, static_cast<int32_t>(used)};
}

}  // namespace hqdit
