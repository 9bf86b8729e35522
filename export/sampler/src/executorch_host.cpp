// SPDX-License-Identifier: Apache-2.0
#include "executorch_host.h"

#include <executorch/runtime/platform/platform.h>
#include <executorch/runtime/platform/runtime.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <new>

#include "c_api.h"  // of the bindings
#include "hqdit/per_thread.h"

namespace hqdit {
namespace {

using executorch::runtime::PalImpl;

struct ThreadState {
  char first_error[512] = "";
  bool abort_throws = false;
};

PerThread<ThreadState> thread_state;
pal_emit_log_message_method next_log = nullptr;
pal_abort_method next_abort = nullptr;

void log_message(et_timestamp_t timestamp, et_pal_log_level_t level, const char* filename, const char* function,
                 size_t line, const char* message, size_t length) {
  // What is left are remarks on how it counts processors, which would end up in an app's or a user's terminal.
  if (level != kError && level != kFatal) return;
  ThreadState* mine = thread_state.get();
  if (mine != nullptr && mine->first_error[0] == '\0') {
    const size_t count = std::min(length, sizeof mine->first_error - 1);
    std::memcpy(mine->first_error, message, count);
    mine->first_error[count] = '\0';
  }
  if (next_log != nullptr) next_log(timestamp, level, filename, function, line, message, length);
}

void abort_run() {
  const ThreadState* mine = thread_state.get();
  if (mine != nullptr && mine->abort_throws) throw RuntimeAbort();
  if (next_abort != nullptr) next_abort();
  std::abort();
}

}  // namespace

void start_executorch() {
  static std::once_flag once;
  std::call_once(once, [] {
    executorch::runtime::runtime_init();
    hqdit_register_ops();
    const PalImpl* now = executorch::runtime::get_pal_impl();
    next_log = now->emit_log_message;
    next_abort = now->abort;
    executorch::runtime::register_pal(
        PalImpl::create(nullptr, abort_run, nullptr, nullptr, log_message, nullptr, nullptr, __FILE__));
  });
}

void clear_runtime_error() {
  ThreadState* mine = thread_state.get();
  if (mine == nullptr) throw std::bad_alloc();
  mine->first_error[0] = '\0';
}

std::string runtime_error() {
  const ThreadState* mine = thread_state.get();
  return mine == nullptr ? "" : mine->first_error;
}

bool runtime_lacks_memory() {
  const std::string log = runtime_error();
  for (const char* sign : {"out_of_memory", "failed to allocate", "XNNPACK status: 0x6"}) {
    if (log.find(sign) != std::string::npos) return true;
  }
  return false;
}

WorkspaceScope::WorkspaceScope(uint64_t most) : most_(most) { hqdit_limit_workspace(most); }

WorkspaceScope::~WorkspaceScope() { hqdit_limit_workspace(UINT64_MAX); }

uint64_t WorkspaceScope::refused() { return hqdit_limit_workspace(most_); }

// clear_runtime_error() made sure that there is a state.
AbortScope::AbortScope() { thread_state.get()->abort_throws = true; }

AbortScope::~AbortScope() { thread_state.get()->abort_throws = false; }

}  // namespace hqdit
