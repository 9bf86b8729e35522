// SPDX-License-Identifier: Apache-2.0
#include "files.h"

#include <algorithm>
#include <fstream>
#include <vector>

#include "sha256.h"

namespace hqdit {
namespace fs = std::filesystem;

Status read_text(const fs::path& path, uint64_t limit, std::string* text) {
  uint64_t bytes = 0;
  if (Status status = file_size(path, &bytes); !status.ok()) return status;
  if (bytes > limit) return invalid_bundle(path.string() + ": larger than " + std::to_string(limit) + " bytes");
  text->resize(static_cast<size_t>(bytes));
  std::ifstream file(path, std::ios::binary);
  if (!file.read(text->data(), static_cast<std::streamsize>(bytes))) {
    return {HQDIT_NOT_FOUND, path.string() + ": cannot be read"};
  }
  return {};
}

Status resolve_inside(const fs::path& folder, const std::string& relative, fs::path* path) {
  const fs::path name(relative);
  const bool climbs = std::find(name.begin(), name.end(), "..") != name.end();
  if (relative.empty() || name.is_absolute() || name.has_root_path() || climbs ||
      relative.find_first_of("\\:") != std::string::npos) {
    return invalid_bundle("\"" + relative + "\" is not a relative path inside the bundle");
  }
  std::error_code error;
  const fs::path root = fs::canonical(folder, error);
  if (error) return {HQDIT_NOT_FOUND, folder.string() + ": " + error.message()};
  *path = fs::canonical(root / name, error);
  if (error) return {HQDIT_NOT_FOUND, (root / name).string() + ": " + error.message()};
  if (std::mismatch(root.begin(), root.end(), path->begin(), path->end()).first != root.end()) {
    return invalid_bundle("\"" + relative + "\" is a link that leads out of the bundle");
  }
  if (!fs::is_regular_file(*path, error)) return invalid_bundle(path->string() + ": not a regular file");
  return {};
}

Status file_size(const fs::path& path, uint64_t* bytes) {
  std::error_code error;
  *bytes = fs::file_size(path, error);
  if (error) return {HQDIT_NOT_FOUND, path.string() + ": " + error.message()};
  return {};
}

Status verify_sha256(const fs::path& path, const std::string& sha256) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return {HQDIT_NOT_FOUND, path.string() + ": cannot be read"};
  Sha256 hash;
  std::vector<char> buffer(1 << 18);
  do {
    file.read(buffer.data(), static_cast<std::streamsize>(buffer.size()));
    hash.update(buffer.data(), static_cast<size_t>(file.gcount()));
  } while (file);
  const std::string found = hash.hex_digest();
  if (found == sha256) return {};
  return invalid_bundle(path.string() + ": SHA-256 is " + found + ", the manifest says " + sha256 +
                        "; the file was changed or its download is incomplete");
}

}  // namespace hqdit
