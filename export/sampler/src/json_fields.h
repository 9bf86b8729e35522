// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "json.h"
#include "status.h"

namespace hqdit {

/// Typed access to the members of JSON objects. The first problem is kept, as "path.to.field: what is wrong"; later
/// reads then return harmless values, so that a list of reads needs one check at its end.
class JsonFields {
 public:
  /// The document of `root` and `status` must outlive this; `status` must be OK.
  JsonFields(Json root, Status* status) : object_(root), status_(status) {}

  /// The member `key`, which must be an object.
  JsonFields object(std::string_view key);

  std::string text(std::string_view key);
  double number(std::string_view key, double low, double high);
  int64_t integer(std::string_view key, int64_t low, int64_t high);
  bool boolean(std::string_view key);
  /// Index of the text in `names`.
  size_t choice(std::string_view key, std::initializer_list<std::string_view> names);
  std::vector<double> numbers(std::string_view key, size_t count, double low, double high);
  /// `least` to `most` whole numbers.
  std::vector<int64_t> integers(std::string_view key, size_t least, size_t most, int64_t low, int64_t high);
  /// [channels, height, width], of at most 2^30 values.
  std::array<int32_t, 3> shape(std::string_view key);
  std::vector<std::string> texts(std::string_view key, size_t count);
  /// An array of `count` arrays.
  std::vector<std::vector<double>> rows(std::string_view key, size_t count, size_t columns);
  /// An array of at most `limit` objects.
  std::vector<JsonFields> objects(std::string_view key, size_t limit);

  bool has(std::string_view key) const { return object_.find(key).has_value(); }
  void fail(std::string_view key, const std::string& what);

 private:
  JsonFields(Json object, std::string path, Status* status)
      : object_(object), path_(std::move(path)), status_(status) {}
  Json member(std::string_view key, Json::Type type, const char* type_name);
  std::vector<double> row(std::string_view key, Json array, size_t count, double low, double high);

  Json object_;
  std::string path_;
  Status* status_;
};

}  // namespace hqdit
