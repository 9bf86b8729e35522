// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <executorch/runtime/core/data_loader.h>

#include <memory>

#include "files.h"

namespace hqdit {

/// Gives ExecuTorch the parts of a file that is open: from a mapping of all of it, or read into memory of their own.
class FileLoader final : public executorch::runtime::DataLoader {
 public:
  ~FileLoader() override;

  /// A mapping needs no descriptor: it closes the file.
  static Status make(OpenFile file, hqdit_load_mode mode, std::unique_ptr<FileLoader>* loader);

  executorch::runtime::Result<executorch::runtime::FreeableBuffer> load(size_t offset, size_t size,
                                                                        const SegmentInfo& info) const override;
  executorch::runtime::Error load_into(size_t offset, size_t size, const SegmentInfo& info,
                                       void* buffer) const override;
  executorch::runtime::Result<size_t> size() const override { return bytes_; }

 private:
  explicit FileLoader(OpenFile file) : file_(std::move(file)), bytes_(static_cast<size_t>(file_.bytes())) {}

  OpenFile file_;
  const size_t bytes_;
  const uint8_t* map_ = nullptr;  // null: parts are read
};

}  // namespace hqdit
