// SPDX-License-Identifier: Apache-2.0
#include "signature.h"

#include "ed25519.h"

namespace hqdit {
namespace {

constexpr size_t kMostKeys = 64;
constexpr char kSignatureFile[] = "manifest.json.sig";

Status invalid_signature(const std::string& message) {
  return {HQDIT_INVALID_SIGNATURE, message + "; get the bundle from who signs for this app, or sign it: hqdit sign"};
}

}  // namespace

Status TrustedKeys::check() const {
  if (count > kMostKeys || (count > 0 && bytes == nullptr)) {
    return invalid_argument("public_keys must point to public_key_count keys of 32 bytes, at most " +
                            std::to_string(kMostKeys));
  }
  for (size_t i = 0; i < count; ++i) {
    if (!is_public_key(bytes + i * kPublicKeyBytes)) {
      return invalid_argument(
          "public_keys[" + std::to_string(i) +
          "] is no public key of Ed25519: it takes the 32 bytes that hqdit sign prints in hexadecimal");
    }
  }
  return {};
}

Status check_signature(const BundleFiles& files, const std::string& manifest, const TrustedKeys& keys) {
  OpenFile file;
  if (Status status = files.open(kSignatureFile, &file); !status.ok()) {
    return status.code == HQDIT_NOT_FOUND ? invalid_signature(status.message + ": the bundle is not signed") : status;
  }
  uint8_t signature[kSignatureBytes];
  if (file.bytes() != sizeof signature) {
    return invalid_signature(file.path() + ": has " + std::to_string(file.bytes()) + " bytes, a signature has 64");
  }
  if (const int error = file.read(0, signature, sizeof signature); error != 0) {
    return file_failure(file.path(), error);
  }
  for (size_t i = 0; i < keys.count; ++i) {
    if (verify_signature(keys.bytes + i * kPublicKeyBytes, signature, manifest.data(), manifest.size())) return {};
  }
  return invalid_signature(file.path() + ": is no signature of manifest.json by " +
                           (keys.count == 1 ? "the public key" : "one of the public keys") +
                           " that was asked for: another key signed it, or the manifest was changed");
}

}  // namespace hqdit
