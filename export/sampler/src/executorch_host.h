// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <exception>
#include <string>

#include "status.h"

namespace hqdit {

/// Starts ExecuTorch once per process, registers our operators, and takes its log and its abort. The log, because its
/// error codes name no operator and no file; errors still go where they went before. The abort, because a damaged
/// program must not end the app.
void start_executorch();

/// Forgets the calling thread's latest error message. Throws std::bad_alloc if there is no room for one.
void clear_runtime_error();

/// The first error that ExecuTorch logged on this thread since; "" if none.
std::string runtime_error();

/// Whether that error is a lack of memory: of XNNPACK's, only the text says so.
bool runtime_lacks_memory();

/// While one lives, an operator of ours takes at most so many bytes of workspace on this thread.
class WorkspaceScope {
 public:
  explicit WorkspaceScope(uint64_t most);
  ~WorkspaceScope();
  WorkspaceScope(const WorkspaceScope&) = delete;
  WorkspaceScope& operator=(const WorkspaceScope&) = delete;

  /// The bytes that one was refused; 0 if none was.
  uint64_t refused();

 private:
  const uint64_t most_;
};

/// Thrown instead of an abort inside protect(). Unwinds through ExecuTorch, whose objects may be left unfinished.
struct RuntimeAbort : std::exception {
  const char* what() const noexcept override { return "ExecuTorch stopped at a failed assertion"; }
};

/// After clear_runtime_error(): while one lives, a failed assertion of ExecuTorch on this thread throws RuntimeAbort.
class AbortScope {
 public:
  AbortScope();
  ~AbortScope();
  AbortScope(const AbortScope&) = delete;
  AbortScope& operator=(const AbortScope&) = delete;
};

/// Runs a body that calls ExecuTorch.
template <typename Body>
Status protect(const std::string& what, Body body) {
  clear_runtime_error();
  try {
    const AbortScope scope;
    return body();
  } catch (const RuntimeAbort& abort) {
    const hqdit_status code = runtime_lacks_memory() ? HQDIT_OUT_OF_MEMORY : HQDIT_RUNTIME_ERROR;
    return {code, what + ": " + abort.what() + ": " + runtime_error()};
  }
}

}  // namespace hqdit
