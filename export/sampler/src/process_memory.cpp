// SPDX-License-Identifier: Apache-2.0
#include "process_memory.h"

#ifdef __APPLE__
#include <sys/resource.h>
#else
#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#endif

namespace hqdit {

#ifdef __APPLE__

uint64_t peak_memory_bytes() {
  rusage usage{};
  return getrusage(RUSAGE_SELF, &usage) == 0 ? static_cast<uint64_t>(usage.ru_maxrss) : 0;
}

#else

// Not getrusage: on Linux its maximum includes that of the process which started this one.
uint64_t peak_memory_bytes() {
  char text[4096];
  const int file = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
  if (file < 0) return 0;
  const ssize_t size = read(file, text, sizeof text - 1);
  close(file);
  if (size <= 0) return 0;
  text[size] = '\0';
  static constexpr char kField[] = "VmHWM:";
  const char* line = std::strstr(text, kField);
  return line == nullptr ? 0 : std::strtoull(line + sizeof kField - 1, nullptr, 10) * 1024;
}

#endif

}  // namespace hqdit
