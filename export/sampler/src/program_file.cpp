// SPDX-License-Identifier: Apache-2.0
#include "program_file.h"

namespace hqdit {

bool ProgramFile::has_segments(Bytes header) {
  const auto magic = [&](size_t offset, const char* text) { return std::memcmp(header.at(offset, 4), text, 4) == 0; };
  expect(header.size >= kHeaderBytes && magic(4, "ET12"), "not a readable ExecuTorch program");
  return magic(8, "eh00");
}

uint64_t ProgramFile::flatbuffer_bytes(Bytes header, uint64_t file_bytes) {
  if (!has_segments(header)) {
    expect(file_bytes <= kMostBytes, "a program of more tables than any");
    return file_bytes;
  }
  const auto bytes = flatbuffer_value<uint64_t>(header, 16);
  expect(flatbuffer_value<uint32_t>(header, 12) >= 32 && bytes >= kHeaderBytes && bytes <= file_bytes,
         "not a readable ExecuTorch program: its header is damaged");
  expect(bytes <= kMostBytes, "a program of more tables than any");
  return bytes;
}

ProgramFile::ProgramFile(Bytes flatbuffer, uint64_t file_bytes)
    : program_(FlatTable::root(flatbuffer)), flatbuffer_bytes_(flatbuffer.size) {
  // A program without weights has neither segments nor the header that says where they begin.
  const uint64_t base = has_segments(flatbuffer) ? flatbuffer_value<uint64_t>(flatbuffer, 24) : file_bytes;
  expect(program_.number<uint32_t>(0) == 0, "an unknown version of ExecuTorch's programs");
  expect(program_.tables(2).size() == 0 && program_.tables(3).size() == 0, "constants that are not in a segment");
  expect(program_.tables(6).size() == 0, "variables with an initial value");
  expect(base <= file_bytes, "segments behind the end of the file");
  const FlatTables segments = program_.tables(4);
  for (size_t i = 0; i < segments.size(); ++i) {
    const FlatTable segment = segments[i];
    const auto offset = segment.number<uint64_t>(0), size = segment.number<uint64_t>(1);
    expect(offset <= file_bytes - base && size <= file_bytes - base - offset, "a segment behind the end of the file");
    segments_.push_back({base + offset, size});
    expect(size == 0 || segments_.back().offset % kAlignment == 0, "a segment that is not aligned");
  }
  constant_offsets_ = program_.table(5).numbers<uint64_t>(1);
  const FlatTables entries = program_.tables(7);
  for (size_t i = 0; i < entries.size(); ++i) named_.emplace(entries[i].text(0), entries[i].number<uint32_t>(1));
}

const ProgramFile::Segment& ProgramFile::segment(uint64_t index) const {
  expect(index < segments_.size(), "a segment that does not exist");
  return segments_[static_cast<size_t>(index)];
}

uint64_t ProgramFile::bytes_at_load() const {
  const bool any = constant_offsets_.size() > 0;
  return saturating_sum(flatbuffer_bytes_, any ? segment(program_.table(5).number<uint32_t>(0)).size : 0);
}

ProgramFile::Segment ProgramFile::constant(uint64_t index) const {
  expect(index < constant_offsets_.size(), "a constant that does not exist");
  const Segment& all = segment(program_.table(5).number<uint32_t>(0));
  const uint64_t offset = constant_offsets_[static_cast<size_t>(index)];
  expect(offset <= all.size, "a constant behind the end of its segment");
  expect(offset % kAlignment == 0, "a constant that is not aligned");
  return {all.offset + offset, all.size - offset};
}

const ProgramFile::Segment& ProgramFile::named(std::string_view key) const {
  const auto found = named_.find(key);
  expect(found != named_.end(), "named data that does not exist");
  return segment(found->second);
}

}  // namespace hqdit
