// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <shared_mutex>

#include "status.h"

namespace hqdit {

/// Prepares the process's one thread pool for hqdit_open_options.threads.
Status use_threads(int32_t threads);

/// Around every run of a model: keeps the pool from being resized, and keeps this thread off it if threads == 1.
class ThreadScope {
 public:
  explicit ThreadScope(int32_t threads);
  ~ThreadScope();
  ThreadScope(const ThreadScope&) = delete;
  ThreadScope& operator=(const ThreadScope&) = delete;

 private:
  std::shared_lock<std::shared_mutex> running_;
  bool pool_was_off_;
};

}  // namespace hqdit
