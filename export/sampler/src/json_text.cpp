// SPDX-License-Identifier: Apache-2.0
#include "json_text.h"

#include <cmath>
#include <cstdint>
#include <locale>
#include <sstream>

#include "utf8.h"

namespace hqdit {
namespace {

bool hex4(std::string_view text, size_t* position, uint32_t* code) {
  for (int i = 0; i < 4; ++i, ++*position) {
    static constexpr std::string_view kDigits = "0123456789abcdef";
    if (*position >= text.size()) return false;
    const char c = text[*position];
    const size_t digit = kDigits.find(c >= 'A' && c <= 'F' ? static_cast<char>(c - 'A' + 'a') : c);
    if (digit == std::string_view::npos) return false;
    *code = *code * 16 + static_cast<uint32_t>(digit);
  }
  return true;
}

/// The escape whose backslash is text[*position].
const char* read_escape(std::string_view text, size_t* position, std::string* out) {
  static constexpr std::string_view kNames = "\"\\/bfnrt", kValues = "\"\\/\b\f\n\r\t";
  if (++*position >= text.size()) return "string without an end";
  const char name = text[(*position)++];
  if (const size_t i = kNames.find(name); i != std::string_view::npos) {
    out->push_back(kValues[i]);
    return nullptr;
  }
  const auto accept = [&](char c) { return *position < text.size() && text[*position] == c && ++*position > 0; };
  uint32_t code = 0, low = 0;
  if (name != 'u' || !hex4(text, position, &code)) return "unknown escape";
  if (code >= 0xD800 && code < 0xDC00) {
    if (!accept('\\') || !accept('u') || !hex4(text, position, &low) || low < 0xDC00 || low > 0xDFFF) {
      return "lone surrogate";
    }
    code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
  } else if (code >= 0xDC00 && code <= 0xDFFF) {
    return "lone surrogate";
  }
  // Callers see C strings.
  if (code == 0) return "NUL in a string";
  append_utf8(code, out);
  return nullptr;
}

}  // namespace

const char* read_json_string(std::string_view text, size_t* position, std::string* out, bool* escaped) {
  out->clear();
  *escaped = false;
  while (*position < text.size()) {
    const char c = text[*position];
    if (c == '"') {
      ++*position;
      return nullptr;
    }
    if (static_cast<unsigned char>(c) < 0x20) return "control character in a string";
    if (c == '\\') {
      *escaped = true;
      if (const char* problem = read_escape(text, position, out)) return problem;
      continue;
    }
    const size_t length = utf8_sequence_length(text.substr(*position));
    if (length == 0) return "not valid UTF-8";
    out->append(text, *position, length);
    *position += length;
  }
  return "string without an end";
}

const char* read_json_number(std::string_view text, size_t* position, double* value) {
  const size_t begin = *position;
  const auto accept = [&](char c) { return *position < text.size() && text[*position] == c && ++*position > 0; };
  const auto digits = [&] {
    const size_t first = *position;
    while (*position < text.size() && text[*position] >= '0' && text[*position] <= '9') ++*position;
    return *position - first;
  };
  accept('-');
  const bool zero = *position < text.size() && text[*position] == '0';
  const size_t whole = digits();
  if (whole == 0) return "not a JSON value";
  if (zero && whole > 1) return "number with a leading zero";
  if (accept('.') && digits() == 0) return "number without digits after '.'";
  const bool exponent = accept('e') || accept('E');
  if (exponent) {
    if (!accept('+')) accept('-');
    if (digits() == 0) return "number without digits in its exponent";
  }
  if (value == nullptr && !exponent && whole < 300) return nullptr;  // less than 1e300
  // Not strtod, whose decimal point is the locale's.
  std::istringstream stream{std::string(text.substr(begin, *position - begin))};
  stream.imbue(std::locale::classic());
  stream.exceptions(std::ios::badbit);  // else it would take a lack of memory for a bad number
  double read = 0;
  stream >> read;
  if (stream.fail() || !std::isfinite(read)) return "number out of range";
  if (value != nullptr) *value = read;
  return nullptr;
}

}  // namespace hqdit
