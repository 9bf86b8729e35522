// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <utility>

#include "hqdit.h"

namespace hqdit {

/// Success, or a code with a message for the user.
struct [[nodiscard]] Status {
  hqdit_status code = HQDIT_OK;
  std::string message;

  bool ok() const { return code == HQDIT_OK; }
};

inline Status invalid_argument(std::string message) { return {HQDIT_INVALID_ARGUMENT, std::move(message)}; }
inline Status invalid_bundle(std::string message) { return {HQDIT_INVALID_BUNDLE, std::move(message)}; }

}  // namespace hqdit
