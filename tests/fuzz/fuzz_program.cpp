// SPDX-License-Identifier: Apache-2.0
// The check of programs. Beside libFuzzer's own changes, one that knows the format: it changes a number of the program
// or of one of XNNPACK's graphs, which no check of the structure can see.
#include <cstdlib>
#include <vector>

#include "flat_numbers.h"
#include "program_check.h"

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t most);

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  // Each part in memory of its own, so that a sanitizer sees a read beyond it.
  std::vector<uint8_t> held;
  const hqdit::ReadPart read = [&](uint64_t offset, size_t count, hqdit::Bytes* part) -> hqdit::Status {
    if (offset > size || count > size - offset) std::abort();
    std::vector<uint8_t>(data + offset, data + offset + count).swap(held);
    *part = {held.data(), held.size()};
    return {};
  };
  hqdit::ProgramMemory memory;
  const hqdit::Status status = hqdit::check_program(size, 1 << 24, read, &memory);
  if (!status.ok() && status.message.empty()) std::abort();
  return 0;
}

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t most, unsigned seed) {
  if (seed % 8 == 0 || !hqdit_fuzz::change_number(data, size, seed / 8)) return LLVMFuzzerMutate(data, size, most);
  return size;
}
