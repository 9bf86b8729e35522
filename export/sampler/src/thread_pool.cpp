// SPDX-License-Identifier: Apache-2.0
#include "thread_pool.h"

#include "hqdit/most_threads.h"

#ifdef ET_USE_THREADPOOL
#include <executorch/extension/threadpool/threadpool_guard.h>

#include <mutex>

#if __has_include(<executorch/extension/threadpool/threadpool.h>)
#include <executorch/extension/threadpool/threadpool.h>
#else
// The Python package's library has these functions but its header is not shipped.
namespace executorch::extension::threadpool {
class ThreadPool {
 public:
  size_t get_thread_count() const;
  bool _unsafe_reset_threadpool(uint32_t num_threads);
};
ThreadPool* get_threadpool();
}  // namespace executorch::extension::threadpool
#endif
#endif

namespace hqdit {
namespace {

std::shared_mutex pool_mutex;  // shared by runs, exclusive for a resize

}  // namespace

#ifdef ET_USE_THREADPOOL

using executorch::extension::threadpool::get_threadpool;
using executorch::extension::threadpool::NoThreadPoolGuard;

Status use_threads(int32_t threads) {
  if (threads < 0 || threads > kMostThreads) {
    return invalid_argument("threads must be in 0 .. " + std::to_string(kMostThreads));
  }
  if (threads < 2) return {};
  const std::unique_lock<std::shared_mutex> alone(pool_mutex);
  auto* pool = get_threadpool();
  if (pool == nullptr || !pool->_unsafe_reset_threadpool(static_cast<uint32_t>(threads))) {
    return {HQDIT_RUNTIME_ERROR, "the thread pool cannot be resized"};
  }
  return {};
}

ThreadScope::ThreadScope(int32_t threads) : running_(pool_mutex), pool_was_off_(NoThreadPoolGuard::is_enabled()) {
  if (threads == 1) NoThreadPoolGuard::set_enabled(true);
}

ThreadScope::~ThreadScope() { NoThreadPoolGuard::set_enabled(pool_was_off_); }

#else

Status use_threads(int32_t threads) {
  if (threads == 0 || threads == 1) return {};
  return invalid_argument("this build has no thread pool: threads must be 0 or 1");
}

ThreadScope::ThreadScope(int32_t) : running_(pool_mutex), pool_was_off_(false) {}
ThreadScope::~ThreadScope() = default;

#endif

}  // namespace hqdit
