// SPDX-License-Identifier: Apache-2.0
#include "guard.h"

#include <algorithm>
#include <cstring>

#include "hqdit/per_thread.h"

namespace hqdit {
namespace {

struct LastError {
  char text[2048] = "";
};

PerThread<LastError> last_error;

}  // namespace

hqdit_status finish(hqdit_status code, std::string_view message) noexcept {
  LastError* mine = code != HQDIT_OK ? last_error.get() : nullptr;
  if (mine != nullptr) {
    const size_t count = std::min(message.size(), sizeof mine->text - 1);
    std::memcpy(mine->text, message.data(), count);
    mine->text[count] = '\0';
  }
  return code;
}

}  // namespace hqdit

extern "C" const char* hqdit_last_error(void) {
  const hqdit::LastError* mine = hqdit::last_error.get();
  return mine == nullptr ? "out of memory" : mine->text;
}

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
                                           "HQDIT_INTERNAL",
                                           "HQDIT_IO_ERROR",
                                           "HQDIT_INVALID_SIGNATURE"};
  const auto index = static_cast<unsigned>(status);
  return index < std::size(kNames) ? kNames[index] : "unknown status";
}
