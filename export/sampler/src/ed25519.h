// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

namespace hqdit {

constexpr size_t kPublicKeyBytes = 32, kSignatureBytes = 64;

/// Whether these kPublicKeyBytes encode a point that a public key can be: on the curve, in its only encoding, and not
/// one of the eight points of small order, whose signatures anybody can make.
bool is_public_key(const uint8_t* key);

/// Whether `signature` (kSignatureBytes) over the message is that of `key`: Ed25519 of RFC 8032, section 5.1.7, without
/// the cofactor and with unique encodings. Nothing here is secret, so its time may depend on all of it.
bool verify_signature(const uint8_t* key, const uint8_t* signature, const void* message, size_t size);

}  // namespace hqdit
