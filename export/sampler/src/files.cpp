// SPDX-License-Identifier: Apache-2.0
#include "files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>
#include <vector>

#include "sha256.h"

namespace hqdit {
namespace fs = std::filesystem;

Status file_failure(const std::string& path, int error) {
  const bool missing = error == ENOENT || error == ENOTDIR || error == ELOOP || error == ENAMETOOLONG;
  const hqdit_status code = missing ? HQDIT_NOT_FOUND : error == ENOMEM ? HQDIT_OUT_OF_MEMORY : HQDIT_IO_ERROR;
  return {code, path + ": " + std::generic_category().message(error)};
}

OpenFile::OpenFile(OpenFile&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)), bytes_(other.bytes_), path_(std::move(other.path_)) {}

OpenFile& OpenFile::operator=(OpenFile&& other) noexcept {
  std::swap(descriptor_, other.descriptor_);
  std::swap(bytes_, other.bytes_);
  std::swap(path_, other.path_);
  return *this;
}

Status OpenFile::open(const fs::path& path, OpenFile* file) {
  OpenFile opened;
  opened.path_ = path.string();
  // Not blocking: what took the place of a file may be a pipe.
  opened.descriptor_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  Status status = opened.look();
  if (status.ok()) *file = std::move(opened);
  return status;
}

Status OpenFile::duplicate(int descriptor, const std::string& name, OpenFile* file) {
  OpenFile opened;
  opened.path_ = name;
  opened.descriptor_ = fcntl(descriptor, F_DUPFD_CLOEXEC, 0);
  if (opened.descriptor_ < 0 && errno == EBADF) return invalid_argument(name + ": its descriptor is not open");
  Status status = opened.look();
  if (status.ok()) *file = std::move(opened);
  return status;
}

Status OpenFile::look() {
  struct stat info{};
  if (descriptor_ < 0 || fstat(descriptor_, &info) != 0) return file_failure(path_, errno);
  if (!S_ISREG(info.st_mode)) return invalid_bundle(path_ + ": not a regular file");
  bytes_ = static_cast<uint64_t>(info.st_size);
  return {};
}

int OpenFile::read(uint64_t offset, void* data, size_t size) const noexcept {
  auto* out = static_cast<uint8_t*>(data);
  while (size > 0) {
    // Linux reads no more than 2 GiB at once, and macOS refuses more.
    const ssize_t count = pread(descriptor_, out, std::min(size, size_t{1} << 30), static_cast<off_t>(offset));
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return count < 0 ? errno : EIO;
    const auto done = static_cast<size_t>(count);
    out += done, offset += done, size -= done;
  }
  return 0;
}

Status OpenFile::verify_sha256(const std::string& sha256) const {
  Sha256 hash;
  std::vector<uint8_t> buffer(1 << 18);
  for (uint64_t offset = 0; offset < bytes_;) {
    const auto size = static_cast<size_t>(std::min<uint64_t>(buffer.size(), bytes_ - offset));
    if (const int error = read(offset, buffer.data(), size); error != 0) return file_failure(path_, error);
    hash.update(buffer.data(), size);
    offset += size;
  }
  std::string found;
  for (const uint8_t byte : hash.digest()) {
    found += {"0123456789abcdef"[byte >> 4], "0123456789abcdef"[byte & 15]};
  }
  if (found == sha256) return {};
  return invalid_bundle(path_ + ": SHA-256 is " + found + ", the manifest says " + sha256 +
                        "; the file was changed or its download is incomplete");
}

void OpenFile::close() noexcept {
  if (descriptor_ >= 0) ::close(descriptor_);
  descriptor_ = -1;
}

Status OpenFile::read_text(uint64_t limit, std::string* text) const {
  if (bytes_ > limit) return invalid_bundle(path_ + ": larger than " + std::to_string(limit) + " bytes");
  text->resize(static_cast<size_t>(bytes_));
  const int error = read(0, text->data(), text->size());
  return error == 0 ? Status{} : file_failure(path_, error);
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
  if (!error) *path = fs::canonical(root / name, error);
  if (error) return file_failure((folder / name).string(), error.value());
  if (std::mismatch(root.begin(), root.end(), path->begin(), path->end()).first != root.end()) {
    return invalid_bundle("\"" + relative + "\" is a link that leads out of the bundle");
  }
  if (!fs::is_regular_file(*path, error)) return invalid_bundle(path->string() + ": not a regular file");
  return {};
}

}  // namespace hqdit
