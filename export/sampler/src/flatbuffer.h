// SPDX-License-Identifier: Apache-2.0
// Reads flatbuffers (little endian, as every processor that we run on) of which nothing is trusted.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string_view>

namespace hqdit {

/// Thrown where a flatbuffer is not one: an offset leads out of it, or lies between two values.
struct BadFlatbuffer : std::runtime_error {
  explicit BadFlatbuffer(const char* why = "the flatbuffer is damaged") : std::runtime_error(why) {}
};

struct Bytes {
  const uint8_t* data = nullptr;
  size_t size = 0;
  /// Tables and items of vectors that may still be read; null for no limit. Many offsets can lead to the same table:
  /// without a limit a small file takes hours to walk through.
  size_t* budget = nullptr;

  void spend(size_t count) const {
    if (budget == nullptr) return;
    if (count > *budget) throw BadFlatbuffer("the flatbuffer has more tables and items than any program");
    *budget -= count;
  }

  /// Throws BadFlatbuffer unless `count` bytes from `offset` on are inside, and `offset` is a multiple of `alignment`.
  const uint8_t* at(size_t offset, size_t count, size_t alignment = 1) const {
    if (offset > size || count > size - offset || offset % alignment != 0) throw BadFlatbuffer();
    return data + offset;
  }
};

template <typename T>
T flatbuffer_value(const Bytes& bytes, size_t offset) {
  T value;
  std::memcpy(&value, bytes.at(offset, sizeof(T), sizeof(T)), sizeof(T));
  return value;
}

/// A vector of numbers; empty if it is absent.
template <typename T>
class FlatVector {
 public:
  FlatVector() = default;
  FlatVector(Bytes bytes, size_t offset) : bytes_(bytes), begin_(offset + sizeof(uint32_t)) {
    size_ = flatbuffer_value<uint32_t>(bytes, offset);
    static_cast<void>(bytes.at(begin_, size_ * sizeof(T), sizeof(T)));
    bytes.spend(size_);
  }

  size_t size() const { return size_; }
  /// Throws BadFlatbuffer if there is no such item.
  T operator[](size_t index) const {
    if (index >= size_) throw BadFlatbuffer();
    return flatbuffer_value<T>(bytes_, begin_ + index * sizeof(T));
  }

 protected:
  Bytes bytes_;
  size_t begin_ = 0;
  size_t size_ = 0;
};

class FlatTable;

/// A vector of tables.
class FlatTables : private FlatVector<uint32_t> {
 public:
  using FlatVector<uint32_t>::FlatVector;
  using FlatVector<uint32_t>::size;
  FlatTable operator[](size_t index) const;
};

/// A table; one that is absent has no fields.
class FlatTable {
 public:
  FlatTable() = default;
  FlatTable(Bytes bytes, size_t offset) : bytes_(bytes), offset_(offset) {
    const auto back = flatbuffer_value<int32_t>(bytes, offset);
    const int64_t fields = static_cast<int64_t>(offset) - back;
    if (fields < 0) throw BadFlatbuffer();
    fields_ = static_cast<size_t>(fields);
    fields_bytes_ = flatbuffer_value<uint16_t>(bytes, fields_);
    table_bytes_ = flatbuffer_value<uint16_t>(bytes, fields_ + 2);
    if (fields_bytes_ < 4 || fields_bytes_ % 2 != 0) throw BadFlatbuffer();
    static_cast<void>(bytes.at(fields_, fields_bytes_));
    static_cast<void>(bytes.at(offset, table_bytes_));
    bytes.spend(1);
  }
  static FlatTable root(Bytes bytes) { return {bytes, flatbuffer_value<uint32_t>(bytes, 0)}; }

  bool has(size_t field) const { return place(field, 0) != 0; }

  template <typename T>
  T number(size_t field, T missing = 0) const {
    const size_t at = place(field, sizeof(T));
    return at == 0 ? missing : flatbuffer_value<T>(bytes_, at);
  }

  FlatTable table(size_t field) const {
    const size_t at = target(field);
    return at == 0 ? FlatTable() : FlatTable(bytes_, at);
  }

  template <typename T>
  FlatVector<T> numbers(size_t field) const {
    const size_t at = target(field);
    return at == 0 ? FlatVector<T>() : FlatVector<T>(bytes_, at);
  }

  FlatTables tables(size_t field) const {
    const size_t at = target(field);
    return at == 0 ? FlatTables() : FlatTables(bytes_, at);
  }

  static constexpr size_t kTextCost = 32;

  /// With a zero behind it, as its readers expect; empty if it is absent.
  std::string_view text(size_t field) const {
    const size_t at = target(field);
    if (at == 0) return {};
    const size_t size = flatbuffer_value<uint32_t>(bytes_, at);
    const uint8_t* text = bytes_.at(at + sizeof(uint32_t), size + 1);
    if (text[size] != 0) throw BadFlatbuffer();
    bytes_.spend(size / kTextCost);
    return {reinterpret_cast<const char*>(text), size};
  }

 private:
  /// Where a field of `size` bytes lies; 0 if it is absent.
  size_t place(size_t field, size_t size) const {
    const size_t entry = 4 + 2 * field;
    if (entry + 2 > fields_bytes_) return 0;
    const size_t within = flatbuffer_value<uint16_t>(bytes_, fields_ + entry);
    if (within == 0) return 0;
    if (within + size > table_bytes_) throw BadFlatbuffer();
    return offset_ + within;
  }

  /// What the offset in a field leads to; 0 if it is absent.
  size_t target(size_t field) const {
    const size_t at = place(field, sizeof(uint32_t));
    return at == 0 ? 0 : at + flatbuffer_value<uint32_t>(bytes_, at);
  }

  Bytes bytes_;
  size_t offset_ = 0, fields_ = 0, fields_bytes_ = 0, table_bytes_ = 0;
};

inline FlatTable FlatTables::operator[](size_t index) const {
  const uint32_t distance = FlatVector<uint32_t>::operator[](index);
  return {bytes_, begin_ + index * sizeof(uint32_t) + distance};
}

}  // namespace hqdit
