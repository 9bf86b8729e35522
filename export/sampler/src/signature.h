// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "bundle_files.h"
#include "status.h"

namespace hqdit {

/// Public keys of Ed25519, [count][32], of which one must have signed a bundle. None: no signature is asked for.
struct TrustedKeys {
  const uint8_t* bytes = nullptr;
  size_t count = 0;

  /// HQDIT_INVALID_ARGUMENT, with the index, if one is no public key.
  Status check() const;
};

/// HQDIT_INVALID_SIGNATURE unless manifest.json.sig is the signature of `manifest`, the bytes of manifest.json, by one
/// of the keys. The digests in the manifest make it one of the model files, too.
Status check_signature(const BundleFiles& files, const std::string& manifest, const TrustedKeys& keys);

}  // namespace hqdit
