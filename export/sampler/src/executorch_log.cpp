// SPDX-License-Identifier: Apache-2.0
#include "executorch_log.h"

#include <executorch/runtime/platform/platform.h>
#include <executorch/runtime/platform/runtime.h>

#include <algorithm>
#include <cstring>
#include <mutex>

#include "c_api.h"  // of the bindings

namespace hqdit {
namespace {

thread_local char first_error[512] = "";
pal_emit_log_message_method next_listener = nullptr;

void listen(et_timestamp_t timestamp, et_pal_log_level_t level, const char* filename, const char* function, size_t line,
            const char* message, size_t length) {
  if (level == kError && first_error[0] == '\0') {
    const size_t count = std::min(length, sizeof first_error - 1);
    std::memcpy(first_error, message, count);
    first_error[count] = '\0';
  }
  if (next_listener != nullptr) next_listener(timestamp, level, filename, function, line, message, length);
}

}  // namespace

void start_executorch() {
  static std::once_flag once;
  std::call_once(once, [] {
    executorch::runtime::runtime_init();
    hqdit_register_ops();
    next_listener = executorch::runtime::get_pal_impl()->emit_log_message;
    executorch::runtime::register_pal(executorch::runtime::PalImpl::create(listen, __FILE__));
  });
}

void clear_runtime_error() { first_error[0] = '\0'; }

std::string runtime_error() { return first_error; }

}  // namespace hqdit
