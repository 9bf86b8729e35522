// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace hqdit {

/// SHA-512 (FIPS 180-4) of a stream of bytes, which Ed25519 is defined with.
class Sha512 {
 public:
  void update(const void* data, size_t size);

  /// Ends the stream.
  std::array<uint8_t, 64> digest();

 private:
  void block(const uint8_t* data);

  std::array<uint64_t, 8> state_ = {0x6a09e667f3bcc908, 0xbb67ae8584caa73b, 0x3c6ef372fe94f82b, 0xa54ff53a5f1d36f1,
                                    0x510e527fade682d1, 0x9b05688c2b3e6c1f, 0x1f83d9abfb41bd6b, 0x5be0cd19137e2179};
  std::array<uint8_t, 128> buffer_ = {};
  size_t buffered_ = 0;
  uint64_t total_ = 0;
};

}  // namespace hqdit
