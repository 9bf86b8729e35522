// SPDX-License-Identifier: Apache-2.0
#include "json_fields.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <sstream>

namespace hqdit {
namespace {

std::string range_text(double low, double high) {
  std::ostringstream text;
  text.imbue(std::locale::classic());
  text << "must be in " << low << " .. " << high;
  return text.str();
}

}  // namespace

void JsonFields::fail(std::string_view key, const std::string& what) {
  if (status_->ok()) *status_ = invalid_bundle(path_ + std::string(key) + ": " + what);
}

Json JsonFields::member(std::string_view key, Json::Type type, const char* type_name) {
  const std::optional<Json> value = object_.find(key);
  if (!value) {
    fail(key, "is missing");
  } else if (value->type() != type) {
    fail(key, std::string("must be ") + type_name);
  } else {
    return *value;
  }
  return {};
}

JsonFields JsonFields::object(std::string_view key) {
  return JsonFields(member(key, Json::Type::kObject, "an object"), path_ + std::string(key) + ".", status_);
}

std::string JsonFields::text(std::string_view key) { return member(key, Json::Type::kString, "a text").text(); }

double JsonFields::number(std::string_view key, double low, double high) {
  const double value = member(key, Json::Type::kNumber, "a number").number();
  if (!(value >= low && value <= high)) fail(key, range_text(low, high));
  return status_->ok() ? value : low;
}

int64_t JsonFields::integer(std::string_view key, int64_t low, int64_t high) {
  const double value = number(key, static_cast<double>(low), static_cast<double>(high));
  if (value != std::floor(value)) fail(key, "must be a whole number");
  return status_->ok() ? static_cast<int64_t>(value) : low;
}

bool JsonFields::boolean(std::string_view key) { return member(key, Json::Type::kBool, "true or false").boolean(); }

size_t JsonFields::choice(std::string_view key, std::initializer_list<std::string_view> names) {
  const std::string value = text(key);
  const auto found = std::find(names.begin(), names.end(), value);
  if (found != names.end()) return static_cast<size_t>(found - names.begin());
  std::string known;
  for (const std::string_view name : names) known += (known.empty() ? "\"" : ", \"") + std::string(name) + "\"";
  fail(key, "\"" + value + "\" is not supported by this engine; it knows " + known);
  return 0;
}

std::vector<double> JsonFields::row(std::string_view key, Json array, size_t count, double low, double high) {
  std::vector<double> values(count, low);
  const std::vector<Json> items = array.items();
  const bool numbers =
      std::all_of(items.begin(), items.end(), [](Json item) { return item.type() == Json::Type::kNumber; });
  if (items.size() != count || !numbers) {
    fail(key, "must hold " + std::to_string(count) + " numbers");
    return values;
  }
  for (size_t i = 0; i < count; ++i) {
    values[i] = items[i].number();
    if (!(values[i] >= low && values[i] <= high)) fail(key, range_text(low, high));
  }
  return values;
}

std::vector<double> JsonFields::numbers(std::string_view key, size_t count, double low, double high) {
  return row(key, member(key, Json::Type::kArray, "an array"), count, low, high);
}

std::vector<int64_t> JsonFields::integers(std::string_view key, size_t least, size_t most, int64_t low, int64_t high) {
  const Json array = member(key, Json::Type::kArray, "an array");
  const size_t count = std::clamp(array.items().size(), least, most);
  std::vector<int64_t> values;
  for (const double value : row(key, array, count, static_cast<double>(low), static_cast<double>(high))) {
    if (value != std::floor(value)) fail(key, "must hold whole numbers");
    values.push_back(status_->ok() ? static_cast<int64_t>(value) : low);
  }
  return values;
}

std::array<int32_t, 3> JsonFields::shape(std::string_view key) {
  constexpr int64_t kMaxSide = 16384, kMaxValues = int64_t{1} << 30;
  std::array<int32_t, 3> sides;
  const std::vector<int64_t> values = integers(key, sides.size(), sides.size(), 1, kMaxSide);
  std::copy(values.begin(), values.end(), sides.begin());
  // Each product of two sides fits.
  if (values[0] * values[1] > kMaxValues / values[2])
    fail(key, "must hold at most " + std::to_string(kMaxValues) + " values");
  return sides;
}

std::vector<std::string> JsonFields::texts(std::string_view key, size_t count) {
  const std::vector<Json> items = member(key, Json::Type::kArray, "an array").items();
  std::vector<std::string> values;
  values.reserve(items.size());
  for (const Json& item : items) {
    if (item.type() != Json::Type::kString) fail(key, "must hold texts only");
    values.push_back(item.text());
  }
  if (values.size() != count) {
    fail(key, "must hold " + std::to_string(count) + " texts, not " + std::to_string(values.size()));
  }
  return values;
}

std::vector<std::vector<double>> JsonFields::rows(std::string_view key, size_t count, size_t columns) {
  const std::vector<Json> items = member(key, Json::Type::kArray, "an array").items();
  std::vector<std::vector<double>> values;
  if (items.size() != count) {
    fail(key, "must hold " + std::to_string(count) + " arrays");
    return values;
  }
  constexpr double kAny = std::numeric_limits<float>::max();
  for (const Json& item : items) values.push_back(row(key, item, columns, -kAny, kAny));
  return values;
}

std::vector<JsonFields> JsonFields::objects(std::string_view key, size_t limit) {
  const std::vector<Json> items = member(key, Json::Type::kArray, "an array").items();
  if (items.size() > limit) fail(key, "must hold at most " + std::to_string(limit) + " objects");
  std::vector<JsonFields> values;
  for (size_t i = 0; i < items.size() && status_->ok(); ++i) {
    const std::string name = std::string(key) + "[" + std::to_string(i) + "]";
    if (items[i].type() != Json::Type::kObject) fail(name, "must be an object");
    if (status_->ok()) values.push_back(JsonFields(items[i], path_ + name + ".", status_));
  }
  return values;
}

}  // namespace hqdit
