// SPDX-License-Identifier: Apache-2.0
#include "guard.h"

#include <algorithm>
#include <cstring>

namespace hqdit {
namespace {

thread_local char last_error[2048] = "";

}  // namespace

hqdit_status finish(Status status) noexcept {
  if (!status.ok()) {
    const size_t count = std::min(status.message.size(), sizeof last_error - 1);
    std::memcpy(last_error, status.message.data(), count);
    last_error[count] = '\0';
  }
  return status.code;
}

}  // namespace hqdit

extern "C" const char* hqdit_last_error(void) { return hqdit::last_error; }

extern "C" const char* hqdit_status_name(hqdit_status status) {
  static constexpr const char* kNames[] = {"HQDIT_OK",
                                           "HQDIT_CANCELLED",
                                           "HQDIT_BUSY",
                                           "HQDIT_INVALID_ARGUMENT",
                                           "HQDIT_NOT_FOUND",
                                           "HQDIT_INVALID_BUNDLE",
                                           "HQDIT_MEMORY_LIMIT",
                                           "HQDIT_OUT_OF_MEMORY",
                                           "HQDIT_RUNTIME_ERROR",
                                           "HQDIT_INTERNAL"};
  const auto index = static_cast<unsigned>(status);
  return index < std::size(kNames) ? kNames[index] : "unknown status";
}
