// SPDX-License-Identifier: Apache-2.0
// C structs that grow: the first field is the size as the caller's header knows it.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "status.h"

namespace hqdit {

/// Copies a caller's struct over one that holds the defaults, as far as the caller knows its fields. Fields that this
/// library does not know must be zero: they would ask for something that it cannot do.
template <typename T>
Status read_struct(const T* from, const char* name, T* to) {
  if (from == nullptr) return invalid_argument(std::string(name) + " is NULL");
  const size_t size = from->struct_size;
  if (size < sizeof(size_t) || size > 65536) {
    return invalid_argument(std::string(name) + ".struct_size is not set; call its _init function");
  }
  std::memcpy(static_cast<void*>(to), from, std::min(size, sizeof(T)));
  const auto* bytes = reinterpret_cast<const uint8_t*>(from);
  if (size > sizeof(T) && std::any_of(bytes + sizeof(T), bytes + size, [](uint8_t b) { return b != 0; })) {
    return invalid_argument(std::string(name) + " uses fields that this version of the library does not have");
  }
  to->struct_size = sizeof(T);
  return {};
}

/// Copies our struct into a caller's, as far as the caller knows its fields. Keeps the caller's struct_size.
template <typename T>
void write_struct(const T& from, size_t size, T* to) {
  std::memset(static_cast<void*>(to), 0, size);
  std::memcpy(static_cast<void*>(to), &from, std::min(size, sizeof(T)));
  if (size >= sizeof(size_t)) std::memcpy(static_cast<void*>(to), &size, sizeof size);
}

}  // namespace hqdit
