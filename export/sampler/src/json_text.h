// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace hqdit {

/// Reads the string of a JSON text whose first character behind its quote is text[*position]; leaves *position behind
/// the closing quote. `out` takes its characters, escapes resolved, and *escaped whether there were any. Returns what
/// is wrong, at *position, or nullptr.
const char* read_json_string(std::string_view text, size_t* position, std::string* out, bool* escaped);

/// Reads a JSON number at text[*position], its value too unless `value` is null.
const char* read_json_number(std::string_view text, size_t* position, double* value);

}  // namespace hqdit
