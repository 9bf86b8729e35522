// SPDX-License-Identifier: Apache-2.0
#include "json.h"

#include <cmath>
#include <locale>
#include <sstream>

#include "utf8.h"

namespace hqdit {
namespace {

constexpr int kMaxDepth = 32;  // a manifest needs 5; recursion must not exhaust a thread's stack

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  Status document(Json* value) {
    if (!value_at(value, 0)) return failure();
    skip_space();
    if (position_ < text_.size()) {
      fail("text after the end of the document");
      return failure();
    }
    return {};
  }

 private:
  bool fail(const char* what) {
    if (error_ == nullptr) error_ = what;
    return false;
  }

  Status failure() const {
    size_t line = 1, column = 1;
    for (size_t i = 0; i < position_ && i < text_.size(); ++i) {
      ++column;
      if (text_[i] == '\n') ++line, column = 1;
    }
    return invalid_bundle("line " + std::to_string(line) + ", column " + std::to_string(column) + ": " + error_);
  }

  void skip_space() {
    while (position_ < text_.size() && std::string_view(" \t\r\n").find(text_[position_]) != std::string_view::npos) {
      ++position_;
    }
  }

  bool accept(char c) {
    if (position_ >= text_.size() || text_[position_] != c) return false;
    ++position_;
    return true;
  }

  bool literal(std::string_view word) {
    if (text_.substr(position_, word.size()) != word) return fail("not a JSON value");
    position_ += word.size();
    return true;
  }

  bool value_at(Json* value, int depth) {
    if (depth > kMaxDepth) return fail("nested too deeply");
    skip_space();
    if (position_ >= text_.size()) return fail("unexpected end");
    switch (text_[position_]) {
      case '{':
        return object(value, depth);
      case '[':
        return array(value, depth);
      case '"':
        value->type = Json::Type::kString;
        return string(&value->string);
      case 't':
        value->type = Json::Type::kBool;
        value->boolean = true;
        return literal("true");
      case 'f':
        value->type = Json::Type::kBool;
        return literal("false");
      case 'n':
        return literal("null");
      default:
        return number(value);
    }
  }

  bool object(Json* value, int depth) {
    value->type = Json::Type::kObject;
    ++position_;
    skip_space();
    if (accept('}')) return true;
    do {
      skip_space();
      std::string key;
      if (position_ >= text_.size() || text_[position_] != '"') return fail("expected a key in quotes");
      if (!string(&key)) return false;
      if (value->find(key) != nullptr) return fail("the key before this place occurs twice");
      skip_space();
      if (!accept(':')) return fail("expected ':'");
      value->members.emplace_back(std::move(key), Json());
      if (!value_at(&value->members.back().second, depth + 1)) return false;
      skip_space();
    } while (accept(','));
    return accept('}') || fail("expected ',' or '}'");
  }

  bool array(Json* value, int depth) {
    value->type = Json::Type::kArray;
    ++position_;
    skip_space();
    if (accept(']')) return true;
    do {
      value->items.emplace_back();
      if (!value_at(&value->items.back(), depth + 1)) return false;
      skip_space();
    } while (accept(','));
    return accept(']') || fail("expected ',' or ']'");
  }

  bool string(std::string* out) {
    ++position_;
    while (position_ < text_.size()) {
      const char c = text_[position_];
      if (c == '"') {
        ++position_;
        return true;
      }
      if (static_cast<unsigned char>(c) < 0x20) return fail("control character in a string");
      if (c == '\\') {
        if (!escape(out)) return false;
        continue;
      }
      const size_t length = utf8_sequence_length(text_.substr(position_));
      if (length == 0) return fail("not valid UTF-8");
      out->append(text_, position_, length);
      position_ += length;
    }
    return fail("string without an end");
  }

  bool escape(std::string* out) {
    static constexpr std::string_view kNames = "\"\\/bfnrt", kValues = "\"\\/\b\f\n\r\t";
    ++position_;
    if (position_ >= text_.size()) return fail("string without an end");
    const char name = text_[position_++];
    if (const size_t i = kNames.find(name); i != std::string_view::npos) {
      out->push_back(kValues[i]);
      return true;
    }
    uint32_t code = 0, low = 0;
    if (name != 'u' || !hex4(&code)) return fail("unknown escape");
    if (code >= 0xD800 && code < 0xDC00) {
      if (!accept('\\') || !accept('u') || !hex4(&low) || low < 0xDC00 || low > 0xDFFF) return fail("lone surrogate");
      code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
    } else if (code >= 0xDC00 && code <= 0xDFFF) {
      return fail("lone surrogate");
    }
    // Callers see C strings.
    if (code == 0) return fail("NUL in a string");
    append_utf8(code, out);
    return true;
  }

  bool hex4(uint32_t* code) {
    for (int i = 0; i < 4; ++i, ++position_) {
      static constexpr std::string_view kDigits = "0123456789abcdef";
      if (position_ >= text_.size()) return false;
      const char c = text_[position_];
      const size_t digit = kDigits.find(c >= 'A' && c <= 'F' ? static_cast<char>(c - 'A' + 'a') : c);
      if (digit == std::string_view::npos) return false;
      *code = *code * 16 + static_cast<uint32_t>(digit);
    }
    return true;
  }

  size_t digits() {
    const size_t begin = position_;
    while (position_ < text_.size() && text_[position_] >= '0' && text_[position_] <= '9') ++position_;
    return position_ - begin;
  }

  bool number(Json* value) {
    const size_t begin = position_;
    accept('-');
    const bool zero = position_ < text_.size() && text_[position_] == '0';
    const size_t whole = digits();
    if (whole == 0) return fail("not a JSON value");
    if (zero && whole > 1) return fail("number with a leading zero");
    if (accept('.') && digits() == 0) return fail("number without digits after '.'");
    if (accept('e') || accept('E')) {
      if (!accept('+')) accept('-');
      if (digits() == 0) return fail("number without digits in its exponent");
    }
    // Not strtod, whose decimal point is the locale's.
    std::istringstream stream{std::string(text_.substr(begin, position_ - begin))};
    stream.imbue(std::locale::classic());
    stream >> value->number;
    value->type = Json::Type::kNumber;
    if (stream.fail() || !std::isfinite(value->number)) return fail("number out of range");
    return true;
  }

  std::string_view text_;
  size_t position_ = 0;
  const char* error_ = nullptr;
};

}  // namespace

const Json* Json::find(std::string_view key) const {
  for (const auto& [name, value] : members) {
    if (name == key) return &value;
  }
  return nullptr;
}

Status parse_json(std::string_view text, Json* value) {
  *value = Json();
  return Parser(text).document(value);
}

}  // namespace hqdit
