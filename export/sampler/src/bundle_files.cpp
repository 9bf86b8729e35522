// SPDX-License-Identifier: Apache-2.0
#include "bundle_files.h"

namespace hqdit {

Status BundleFiles::given(const hqdit_file* files, size_t count, BundleFiles* result) {
  if (files == nullptr || count == 0 || count > 1024) {
    return invalid_argument("files must point to the bundle's files, 1 .. 1024 of them");
  }
  for (size_t i = 0; i < count; ++i) {
    const std::string where = "files[" + std::to_string(i) + "]";
    if (files[i].name == nullptr || files[i].name[0] == '\0') return invalid_argument(where + ".name is empty");
    if (files[i].descriptor < 0) return invalid_argument(where + ".descriptor is not open");
    if (!result->descriptors_.emplace(files[i].name, files[i].descriptor).second) {
      return invalid_argument(where + ".name is \"" + files[i].name + "\", as that of another file");
    }
  }
  return {};
}

Status BundleFiles::open(const std::string& name, OpenFile* file) const {
  if (folder_) {
    std::filesystem::path path;
    Status status = resolve_inside(*folder_, name, &path);
    return status.ok() ? OpenFile::open(path, file) : status;
  }
  const auto given = descriptors_.find(name);
  if (given == descriptors_.end()) return {HQDIT_NOT_FOUND, name + ": is not among the files that the app passed"};
  return OpenFile::duplicate(given->second, name, file);
}

}  // namespace hqdit
