// SPDX-License-Identifier: Apache-2.0
// memory_driver BYTES: prints whether allocate_large gave memory, the largest power of two that its address is a
// multiple of, and whether the system was asked for huge pages there; fails if the bytes cannot be written.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>

#include "hqdit/large_memory.h"

namespace {

/// The flag "hg" of the mapping that holds `address`, in /proc/self/smaps.
bool asked_for_huge_pages(uintptr_t address) {
  std::ifstream maps("/proc/self/smaps");
  bool here = false;
  for (std::string line; std::getline(maps, line);) {
    uintptr_t begin = 0, end = 0;
    if (std::sscanf(line.c_str(), "%lx-%lx ", &begin, &end) == 2) here = begin <= address && address < end;
    if (here && line.rfind("VmFlags:", 0) == 0) return line.find(" hg") != std::string::npos;
  }
  return false;
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 2) return 2;
  const size_t bytes = std::strtoull(arguments[1], nullptr, 10);
  const hqdit::LargeMemory memory = hqdit::allocate_large(bytes);
  const uintptr_t address = reinterpret_cast<uintptr_t>(memory.get());
  if (memory) std::memset(memory.get(), 1, bytes);
  std::printf("%d %zu %d\n", memory != nullptr, static_cast<size_t>(address & (~address + 1)),
              asked_for_huge_pages(address));
}
