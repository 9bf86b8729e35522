// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "status.h"

namespace hqdit {

/// What a failed call of the system means for `path`: a file that is not there, memory that is, or HQDIT_IO_ERROR.
Status file_failure(const std::string& path, int error);

/// A regular file that is opened once, so that what is read later is what was verified.
class OpenFile {
 public:
  OpenFile() = default;
  OpenFile(OpenFile&& other) noexcept;
  OpenFile& operator=(OpenFile&& other) noexcept;
  ~OpenFile() { close(); }

  static Status open(const std::filesystem::path& path, OpenFile* file);

  /// The file of a caller's descriptor, which stays the caller's; `name` is what messages call it.
  static Status duplicate(int descriptor, const std::string& name, OpenFile* file);

  uint64_t bytes() const { return bytes_; }
  int descriptor() const { return descriptor_; }
  const std::string& path() const { return path_; }

  /// Reads `size` bytes from `offset` on; 0, or the system's error (EIO where the file ends before).
  int read(uint64_t offset, void* data, size_t size) const noexcept;

  /// All of a text of at most `limit` bytes.
  Status read_text(uint64_t limit, std::string* text) const;

  /// HQDIT_INVALID_BUNDLE if the file's SHA-256 is not `sha256` (hexadecimal).
  Status verify_sha256(const std::string& sha256) const;

  void close() noexcept;

 private:
  Status look();

  int descriptor_ = -1;
  uint64_t bytes_ = 0;
  std::string path_;
};

/// The regular file `relative` inside `folder`; an error if the name or a link leads out of the folder.
Status resolve_inside(const std::filesystem::path& folder, const std::string& relative, std::filesystem::path* path);

}  // namespace hqdit
