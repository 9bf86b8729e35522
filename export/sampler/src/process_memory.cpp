// SPDX-License-Identifier: Apache-2.0
#include "process_memory.h"

#ifdef __APPLE__
#include <mach/mach.h>
#else
#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#endif

namespace hqdit {

#ifdef __APPLE__

// The footprint (dirty and compressed pages), which is what iOS limits; resident memory also counts mapped weights,
// which the system may drop.
uint64_t peak_memory_bytes() {
  task_vm_info_data_t info{};
  mach_msg_type_number_t count = TASK_VM_INFO_COUNT;
  const kern_return_t status = task_info(mach_task_self(), TASK_VM_INFO, reinterpret_cast<task_info_t>(&info), &count);
  if (status != KERN_SUCCESS || count < TASK_VM_INFO_REV3_COUNT) return 0;
  return static_cast<uint64_t>(info.ledger_phys_footprint_peak);
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
