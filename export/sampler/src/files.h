// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "status.h"

namespace hqdit {

/// Reads a text file of at most `limit` bytes.
Status read_text(const std::filesystem::path& path, uint64_t limit, std::string* text);

/// The regular file `relative` inside `folder`; an error if the name or a link leads out of the folder.
Status resolve_inside(const std::filesystem::path& folder, const std::string& relative, std::filesystem::path* path);

Status file_size(const std::filesystem::path& path, uint64_t* bytes);

/// HQDIT_INVALID_BUNDLE if the file's SHA-256 is not `sha256` (hexadecimal).
Status verify_sha256(const std::filesystem::path& path, const std::string& sha256);

}  // namespace hqdit
