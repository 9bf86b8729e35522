// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <exception>
#include <new>
#include <string_view>

#include "status.h"

namespace hqdit {

/// Keeps the message of a failure for hqdit_last_error() and returns the code.
hqdit_status finish(hqdit_status code, std::string_view message) noexcept;

/// Runs the body of a C function: no exception leaves it.
template <typename Body>
hqdit_status guard(Body body) noexcept {
  try {
    const Status status = body();
    return finish(status.code, status.message);
  } catch (const std::bad_alloc&) {
    return finish(HQDIT_OUT_OF_MEMORY, "out of memory");
  } catch (const std::exception& error) {
    return finish(HQDIT_INTERNAL, error.what());
  } catch (...) {
    return finish(HQDIT_INTERNAL, "unknown exception");
  }
}

}  // namespace hqdit
