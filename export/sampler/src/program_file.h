// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "flatbuffer.h"

namespace hqdit {

/// Thrown with what is wrong, to become a status in check_program().
struct BadProgram : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Throws BadProgram(what) unless it is so.
inline void expect(bool so, const std::string& what) {
  if (!so) throw BadProgram(what);
}

/// A name out of a program, for a message: of one that has control characters only so much is said.
inline std::string printable(std::string_view text) {
  for (const char c : text.substr(0, 100)) {
    if (c < 0x20 || c > 0x7e) return "(a name that cannot be printed)";
  }
  return std::string(text.substr(0, 100));
}

/// Overflow gives UINT64_MAX, which is more than there can be.
inline uint64_t saturating_product(uint64_t a, uint64_t b) { return a != 0 && b > UINT64_MAX / a ? UINT64_MAX : a * b; }

inline uint64_t saturating_sum(uint64_t a, uint64_t b) { return b > UINT64_MAX - a ? UINT64_MAX : a + b; }

/// Where the parts of a .pte file lie (ExecuTorch's schema/program.fbs and extended header).
class ProgramFile {
 public:
  static constexpr size_t kHeaderBytes = 40;
  /// Of a flatbuffer, the program's or an XNNPACK graph's: that of DiT-XL/2 has less than 1 MB.
  static constexpr uint64_t kMostBytes = 16 << 20;
  /// Of constants: what the exporter gives them, and more than any element needs.
  static constexpr uint64_t kAlignment = 16;

  struct Segment {
    uint64_t offset, size;  // in the file
  };

  /// The flatbuffer's size out of the first kHeaderBytes of a file.
  static uint64_t flatbuffer_bytes(Bytes header, uint64_t file_bytes);

  ProgramFile(Bytes flatbuffer, uint64_t file_bytes);

  FlatTables methods() const { return program_.tables(1); }
  /// The flatbuffer and the segment of constants: what is read as soon as the program is loaded.
  uint64_t bytes_at_load() const;
  const Segment& segment(uint64_t index) const;
  /// The constant of a Tensor's data_buffer_idx: from its offset to the end of its segment.
  Segment constant(uint64_t index) const;
  /// The segment of named data; what XNNPACK's constants refer to.
  const Segment& named(std::string_view key) const;

 private:
  static bool has_segments(Bytes header);

  FlatTable program_;
  FlatVector<uint64_t> constant_offsets_;
  std::map<std::string_view, uint32_t> named_;  // segments
  uint64_t flatbuffer_bytes_;
  std::vector<Segment> segments_;
};

}  // namespace hqdit
