// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>

#include "flatbuffer.h"
#include "status.h"
#include "xnnpack_check.h"

namespace hqdit {

/// Gives `size` bytes of a program's file from `offset` on, valid until the next call.
using ReadPart = std::function<Status(uint64_t offset, size_t size, Bytes* part)>;

/// What a program takes beside activations, in bytes.
struct ProgramMemory {
  uint64_t at_load = 0;  ///< of its file, where that is read and not mapped
  std::map<std::string, XnnMemory> methods;
};

/// Refuses a program that our exporter would not write, before ExecuTorch parses it, which checks little: only the
/// operators of operator_signatures.h, each with its number and types of arguments; no other instruction than calls of
/// them and of XNNPACK, whose graphs are checked, too (xnnpack_check.h); constants with all of their data, aligned;
/// activations inside their buffer, of at most `most_activation_bytes`. HQDIT_INVALID_BUNDLE names what it is.
Status check_program(uint64_t file_bytes, uint64_t most_activation_bytes, const ReadPart& read, ProgramMemory* memory);

}  // namespace hqdit
