// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>

#include "files.h"
#include "hqdit.h"
#include "status.h"

namespace hqdit {

/// The files of a bundle by their names in it: those of a folder, or descriptors that the caller has opened.
class BundleFiles {
 public:
  BundleFiles() = default;
  explicit BundleFiles(std::filesystem::path folder) : folder_(std::move(folder)) {}

  /// The caller's descriptors, which must stay open as long as this object is used.
  static Status given(const hqdit_file* files, size_t count, BundleFiles* result);

  /// Opens the regular file `name`; an error if the name, or a link, leads out of the bundle.
  Status open(const std::string& name, OpenFile* file) const;

  /// What messages call the bundle.
  std::string shown() const { return folder_ ? folder_->string() : "the bundle"; }

 private:
  std::optional<std::filesystem::path> folder_;  // none: the descriptors
  std::map<std::string, int> descriptors_;
};

}  // namespace hqdit
