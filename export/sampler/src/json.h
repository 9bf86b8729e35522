// SPDX-License-Identifier: Apache-2.0
// A small strict JSON reader (RFC 8259): no comments, no duplicate keys, valid UTF-8; depth, values and keys bounded.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "status.h"

namespace hqdit {

class JsonDocument;

/// A value of a document, which must outlive it.
class Json {
 public:
  enum class Type : uint8_t { kNull, kBool, kNumber, kString, kArray, kObject };

  Json() = default;  ///< a null of no document

  Type type() const;
  // What another type has is false, 0, empty.
  bool boolean() const;
  double number() const;
  std::string text() const;  ///< of a string, its escapes resolved
  std::vector<Json> items() const;
  /// The member of an object; none if it is missing or this is no object.
  std::optional<Json> find(std::string_view key) const;

 private:
  friend class JsonDocument;
  Json(const JsonDocument* document, uint32_t node) : document_(document), node_(node) {}

  const JsonDocument* document_ = nullptr;
  uint32_t node_ = 0;
};

/// A text and where its values lie in it: 16 bytes each, at most eight times the text. Linear in the text's length.
class JsonDocument {
 public:
  static constexpr size_t kMaxTextBytes = 2u << 20;
  static constexpr size_t kMaxValues = 1u
                                       << 17;  ///< keys are counted, too; a manifest has one a class and some hundred
  static constexpr size_t kMaxKeys = 1024;     ///< of one object
  static constexpr int kMaxDepth = 32;         ///< a manifest needs 5; recursion must not exhaust a thread's stack

  /// Keeps `text`. The error names line and column.
  Status parse(std::string text);

  /// Of a parsed document.
  Json root() const { return {this, 0}; }

 private:
  friend class Json;
  friend class JsonParser;

  /// Values in the order of the text. A member of an object is two nodes, its key and its value.
  struct Node {
    uint32_t begin, size;  // where the text of a string (without quotes) or of a number is; an array's count of items
    uint32_t end;          // the first node behind this one and what is in it
    Json::Type type;
    bool flag;  // a boolean's value; whether a string has escapes
  };

  std::string_view raw(const Node& node) const { return std::string_view(text_).substr(node.begin, node.size); }

  std::string text_;
  std::vector<Node> nodes_;
};

}  // namespace hqdit
