// SPDX-License-Identifier: Apache-2.0
// The manifest's reader, names of classes included: what it accepts must be what the engine can work with.
#include <cmath>
#include <cstdlib>
#include <string>
#include <vector>

#include "manifest.h"
#include "scheduler.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  hqdit::Manifest manifest;
  const std::string text(reinterpret_cast<const char*>(data), size);
  if (const hqdit::Status status = hqdit::parse_manifest(text, &manifest); !status.ok()) {
    if (status.message.empty()) std::abort();
    return 0;
  }
  if (manifest.labels.size() != static_cast<size_t>(manifest.num_classes)) std::abort();
  return 0;
}
