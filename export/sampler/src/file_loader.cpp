// SPDX-License-Identifier: Apache-2.0
#include "file_loader.h"

#include <executorch/runtime/platform/log.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "hqdit/large_memory.h"

namespace hqdit {
namespace {

namespace et = executorch::runtime;

/// What a delegate has packed for itself it does not read again: its pages would count as this process's memory until
/// the file is closed. Pages that a neighbour shares stay, and a later look brings any back.
void drop_pages(void*, void* data, size_t size) {
  const uintptr_t page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  const uintptr_t begin = (reinterpret_cast<uintptr_t>(data) + page - 1) / page * page;
  const uintptr_t end = (reinterpret_cast<uintptr_t>(data) + size) / page * page;
  if (begin < end) static_cast<void>(madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED));
}

}  // namespace

FileLoader::~FileLoader() {
  if (map_ != nullptr) munmap(const_cast<uint8_t*>(map_), bytes_);
}

Status FileLoader::make(OpenFile file, hqdit_load_mode mode, std::unique_ptr<FileLoader>* loader) {
  std::unique_ptr<FileLoader> made(new FileLoader(std::move(file)));
  if (mode == HQDIT_LOAD_MMAP) {
    if (made->bytes_ == 0) return invalid_bundle(made->file_.path() + ": is empty");
    void* map = mmap(nullptr, made->bytes_, PROT_READ, MAP_PRIVATE, made->file_.descriptor(), 0);
    if (map == MAP_FAILED) return file_failure(made->file_.path(), errno);
    made->map_ = static_cast<const uint8_t*>(map);
    made->file_.close();
  }
  *loader = std::move(made);
  return {};
}

et::Result<et::FreeableBuffer> FileLoader::load(size_t offset, size_t size, const SegmentInfo& info) const {
  if (map_ != nullptr) {
    if (offset > bytes_ || size > bytes_ - offset) return et::Error::InvalidProgram;
    return et::FreeableBuffer(map_ + offset, size, drop_pages);
  }
  LargeMemory memory = offset <= bytes_ && size <= bytes_ - offset ? allocate_large(size) : nullptr;
  if (!memory && offset <= bytes_ && size <= bytes_ - offset) return et::Error::MemoryAllocationFailed;
  const et::Error error = load_into(offset, size, info, memory.get());
  if (error != et::Error::Ok) return error;
  const auto release = [](void*, void* data, size_t) { std::free(data); };
  return et::FreeableBuffer(memory.release(), size, release);
}

et::Error FileLoader::load_into(size_t offset, size_t size, const SegmentInfo&, void* buffer) const {
  if (offset > bytes_ || size > bytes_ - offset) return et::Error::InvalidProgram;
  if (map_ != nullptr) {
    std::memcpy(buffer, map_ + offset, size);
    return et::Error::Ok;
  }
  const int error = file_.read(offset, buffer, size);
  if (error == 0) return et::Error::Ok;
  ET_LOG(Error, "%s: %s", file_.path().c_str(), std::strerror(error));
  return error == ENOMEM ? et::Error::MemoryAllocationFailed : et::Error::AccessFailed;
}

}  // namespace hqdit
