// SPDX-License-Identifier: Apache-2.0
#include "json.h"

#include <algorithm>
#include <set>

#include "json_text.h"

namespace hqdit {
namespace {

/// No fewer than the values and keys of a text: each but the first follows one of these.
size_t most_values(std::string_view text) {
  size_t count = 1;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i], next = i + 1 < text.size() ? text[i + 1] : '\0';
    const bool opens = (c == '[' && next != ']') || (c == '{' && next != '}');
    count += opens || c == ',' || c == ':' ? 1 : 0;
  }
  return count;
}

}  // namespace

class JsonParser {
 public:
  explicit JsonParser(JsonDocument* document) : text_(document->text_), nodes_(document->nodes_) {}

  Status parse() {
    nodes_.clear();
    nodes_.reserve(std::min(most_values(text_), JsonDocument::kMaxValues));
    if (!value(0)) return failure();
    skip_space();
    if (position_ == text_.size()) return {};
    fail("text after the end of the document");
    return failure();
  }

 private:
  using Type = Json::Type;

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

  /// A new node that begins here; false if there are too many.
  bool add(Type type, size_t* node) {
    if (nodes_.size() >= JsonDocument::kMaxValues) return fail("more than 131072 values and keys");
    *node = nodes_.size();
    nodes_.push_back({static_cast<uint32_t>(position_), 0, static_cast<uint32_t>(*node + 1), type, false});
    return true;
  }

  bool literal(std::string_view word, Type type, bool flag) {
    size_t node = 0;
    if (text_.substr(position_, word.size()) != word) return fail("not a JSON value");
    if (!add(type, &node)) return false;
    nodes_[node].flag = flag;
    position_ += word.size();
    return true;
  }

  bool value(int depth) {
    if (depth > JsonDocument::kMaxDepth) return fail("nested too deeply");
    skip_space();
    if (position_ >= text_.size()) return fail("unexpected end");
    switch (text_[position_]) {
      case '{':
        return object(depth);
      case '[':
        return array(depth);
      case '"':
        return string();
      case 't':
        return literal("true", Type::kBool, true);
      case 'f':
        return literal("false", Type::kBool, false);
      case 'n':
        return literal("null", Type::kNull, false);
      default:
        return number();
    }
  }

  bool object(int depth) {
    size_t node = 0;
    if (!add(Type::kObject, &node)) return false;
    std::set<std::string> keys;
    ++position_;
    skip_space();
    if (accept('}')) return true;
    do {
      skip_space();
      if (position_ >= text_.size() || text_[position_] != '"') return fail("expected a key in quotes");
      if (!string()) return false;
      if (!keys.insert(string_).second) return fail("the key before this place occurs twice");
      if (keys.size() > JsonDocument::kMaxKeys) return fail("an object with more than 1024 keys");
      skip_space();
      if (!accept(':')) return fail("expected ':'");
      if (!value(depth + 1)) return false;
      skip_space();
    } while (accept(','));
    nodes_[node].end = static_cast<uint32_t>(nodes_.size());
    return accept('}') || fail("expected ',' or '}'");
  }

  bool array(int depth) {
    size_t node = 0;
    if (!add(Type::kArray, &node)) return false;
    uint32_t count = 0;
    ++position_;
    skip_space();
    if (accept(']')) return true;
    do {
      if (!value(depth + 1)) return false;
      ++count;
      skip_space();
    } while (accept(','));
    nodes_[node].size = count;
    nodes_[node].end = static_cast<uint32_t>(nodes_.size());
    return accept(']') || fail("expected ',' or ']'");
  }

  bool string() {
    ++position_;
    size_t node = 0;
    if (!add(Type::kString, &node)) return false;
    bool escaped = false;
    if (const char* problem = read_json_string(text_, &position_, &string_, &escaped)) return fail(problem);
    nodes_[node].size = static_cast<uint32_t>(position_ - 1) - nodes_[node].begin;
    nodes_[node].flag = escaped;
    return true;
  }

  bool number() {
    size_t node = 0;
    if (!add(Type::kNumber, &node)) return false;
    if (const char* problem = read_json_number(text_, &position_, nullptr)) return fail(problem);
    nodes_[node].size = static_cast<uint32_t>(position_) - nodes_[node].begin;
    return true;
  }

  const std::string_view text_;
  std::vector<JsonDocument::Node>& nodes_;
  std::string string_;  // the latest
  size_t position_ = 0;
  const char* error_ = nullptr;
};

Status JsonDocument::parse(std::string text) {
  if (text.size() > kMaxTextBytes) return invalid_bundle("larger than " + std::to_string(kMaxTextBytes) + " bytes");
  text_ = std::move(text);
  return JsonParser(this).parse();
}

Json::Type Json::type() const { return document_ == nullptr ? Type::kNull : document_->nodes_[node_].type; }

bool Json::boolean() const { return type() == Type::kBool && document_->nodes_[node_].flag; }

double Json::number() const {
  double value = 0;
  if (type() != Type::kNumber) return value;
  size_t position = document_->nodes_[node_].begin;
  // It was read before, without its value.
  static_cast<void>(read_json_number(document_->text_, &position, &value));
  return value;
}

std::string Json::text() const {
  if (type() != Type::kString) return {};
  const JsonDocument::Node& node = document_->nodes_[node_];
  if (!node.flag) return std::string(document_->raw(node));
  size_t position = node.begin;
  std::string text;
  bool escaped = false;
  static_cast<void>(read_json_string(document_->text_, &position, &text, &escaped));
  return text;
}

std::vector<Json> Json::items() const {
  std::vector<Json> items;
  if (type() != Type::kArray) return items;
  const auto& nodes = document_->nodes_;
  items.reserve(nodes[node_].size);
  for (uint32_t i = node_ + 1; i < nodes[node_].end; i = nodes[i].end) items.push_back(Json(document_, i));
  return items;
}

std::optional<Json> Json::find(std::string_view key) const {
  if (type() != Type::kObject) return std::nullopt;
  const auto& nodes = document_->nodes_;
  for (uint32_t i = node_ + 1; i < nodes[node_].end; i = nodes[i + 1].end) {
    const bool same = nodes[i].flag ? Json(document_, i).text() == key : document_->raw(nodes[i]) == key;
    if (same) return Json(document_, i + 1);
  }
  return std::nullopt;
}

}  // namespace hqdit
