// SPDX-License-Identifier: Apache-2.0
// Changes a number of a .pte in place: of its tables, or of those of an XNNPACK graph in one of its segments.
#pragma once

#include <cstdint>
#include <cstring>
#include <random>
#include <vector>

namespace hqdit_fuzz {

/// A number of 1, 2, 4 or 8 bytes.
struct Number {
  size_t offset, bytes;
};

/// Walks every table that can be reached, whatever its type: what a 32-bit number could be an offset to is followed if
/// there is a table or a vector. Without a schema it takes some numbers for others, which is no harm for a fuzzer.
class Walk {
 public:
  Walk(const uint8_t* data, size_t size) : data_(data), size_(size) {}

  void table(size_t offset, int depth) {
    if (depth > 12 || numbers_.size() > 100000 || !inside(offset, 4) || offset % 4 != 0) return;
    const int64_t fields = static_cast<int64_t>(offset) - read<int32_t>(offset);
    if (fields < 0 || !inside(static_cast<size_t>(fields), 4)) return;
    const auto at = static_cast<size_t>(fields);
    const size_t count = read<uint16_t>(at), all = read<uint16_t>(at + 2);
    if (count < 4 || count % 2 != 0 || count > 256 || all < 4 || !inside(at, count) || !inside(offset, all)) return;
    for (size_t entry = 4; entry < count; entry += 2) {
      const size_t within = read<uint16_t>(at + entry);
      if (within < 4 || within >= all) continue;
      const size_t place = offset + within;
      const size_t bytes = within % 8 == 4 || within + 8 > all ? 4 : 8;
      numbers_.push_back({place, within % 4 != 0 ? 1 : bytes});
      if (within % 4 == 0 && within + 4 <= all) target(place, depth);
    }
  }

  const std::vector<Number>& numbers() const { return numbers_; }

 private:
  bool inside(size_t offset, size_t count) const { return offset <= size_ && count <= size_ - offset; }

  template <typename T>
  T read(size_t offset) const {
    T value{};
    std::memcpy(&value, data_ + offset, sizeof(T));
    return value;
  }

  void target(size_t place, int depth) {
    const size_t at = place + read<uint32_t>(place);
    if (at == place || !inside(at, 4)) return;
    table(at, depth + 1);
    const size_t count = read<uint32_t>(at);
    if (count == 0 || count > 4096 || !inside(at + 4, 4 * count)) return;
    for (size_t i = 0; i < count; ++i) {
      const size_t item = at + 4 + 4 * i;
      numbers_.push_back({item, 4});
      table(item + read<uint32_t>(item), depth + 1);
    }
  }

  const uint8_t* data_;
  const size_t size_;
  std::vector<Number> numbers_;
};

/// False if there is no number to change.
inline bool change_number(uint8_t* data, size_t size, unsigned seed) {
  std::mt19937 random(seed);
  uint64_t program_bytes = 0;
  if (size < 64) return false;
  std::memcpy(&program_bytes, data + 16, sizeof program_bytes);
  if (program_bytes > size) return false;
  uint8_t* part = data;
  size_t bytes = static_cast<size_t>(program_bytes);
  std::vector<size_t> graphs;
  for (size_t i = bytes; i + 32 < size; i += 16) {
    if (std::memcmp(data + i + 4, "XH00", 4) == 0) graphs.push_back(i);
  }
  if (!graphs.empty() && random() % 2 == 0) {
    const size_t graph = graphs[random() % graphs.size()];
    uint32_t offset = 0, length = 0;
    std::memcpy(&offset, data + graph + 10, sizeof offset);
    std::memcpy(&length, data + graph + 14, sizeof length);
    if (offset > size - graph || length > size - graph - offset) return false;
    part = data + graph + offset, bytes = length;
  }
  Walk walk(part, bytes);
  uint32_t root = 0;
  if (bytes < sizeof root) return false;
  std::memcpy(&root, part, sizeof root);
  walk.table(root, 0);
  if (walk.numbers().empty()) return false;
  const Number number = walk.numbers()[random() % walk.numbers().size()];
  uint64_t value = 0;
  std::memcpy(&value, part + number.offset, number.bytes);
  static constexpr int64_t kValues[] = {0,  1,   2,     3,       7,         8,         15, 16,
                                        17, 255, 65536, 1 << 30, INT32_MAX, INT32_MIN, -1, -2};
  switch (random() % 4) {
    case 0:
      value = static_cast<uint64_t>(kValues[random() % std::size(kValues)]);
      break;
    case 1:
      value += random() % 2 == 0 ? 1 : UINT64_MAX;
      break;
    case 2:
      value = random() % 2 == 0 ? value * 2 : value / 2;
      break;
    default: {
      const Number other = walk.numbers()[random() % walk.numbers().size()];
      std::memcpy(&value, part + other.offset, other.bytes);
    }
  }
  std::memcpy(part + number.offset, &value, number.bytes);
  return true;
}

}  // namespace hqdit_fuzz
