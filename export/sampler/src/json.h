// SPDX-License-Identifier: Apache-2.0
// A small strict JSON reader (RFC 8259): no comments, no duplicate keys, valid UTF-8, bounded depth.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "status.h"

namespace hqdit {

struct Json {
  enum class Type { kNull, kBool, kNumber, kString, kArray, kObject };

  Type type = Type::kNull;
  bool boolean = false;
  double number = 0;
  std::string string;
  std::vector<Json> items;
  std::vector<std::pair<std::string, Json>> members;

  /// The member of an object; nullptr if it is missing or this is no object.
  const Json* find(std::string_view key) const;
};

/// The error names line and column.
Status parse_json(std::string_view text, Json* value);

}  // namespace hqdit
