// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <pthread.h>

#include <new>

namespace hqdit {

/// One T for each thread that asks. Where memory has run out, the first use of a thread_local ends the process; this
/// one gives nullptr. For objects with static storage duration.
template <typename T>
class PerThread {
 public:
  PerThread() : made_(pthread_key_create(&key_, destroy) == 0) {}
  ~PerThread() {
    if (made_) pthread_key_delete(key_);
  }
  PerThread(const PerThread&) = delete;
  PerThread& operator=(const PerThread&) = delete;

  T* get() noexcept {
    if (!made_) return nullptr;
    if (void* known = pthread_getspecific(key_)) return static_cast<T*>(known);
    T* made = new (std::nothrow) T();
    if (made != nullptr && pthread_setspecific(key_, made) == 0) return made;
    delete made;
    return nullptr;
  }

 private:
  static void destroy(void* value) { delete static_cast<T*>(value); }

  pthread_key_t key_{};
  const bool made_;
};

}  // namespace hqdit
