// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace hqdit {

/// A number modulo p = 2^255 - 19, kept below 2^256. For public values alone: its time depends on them.
class Field25519 {
 public:
  using Bytes = std::array<uint8_t, 32>;  ///< least significant byte first

  constexpr explicit Field25519(uint32_t value = 0) : limbs_{value} {}

  /// `bytes` below 2^256, modulo p.
  static Field25519 from_bytes(const Bytes& bytes);

  /// The one representative below p.
  Bytes bytes() const;

  bool is_zero() const { return bytes() == Bytes{}; }
  bool is_odd() const { return (bytes()[0] & 1) != 0; }
  bool operator==(const Field25519& other) const { return bytes() == other.bytes(); }

  Field25519 operator+(const Field25519& other) const;
  Field25519 operator-(const Field25519& other) const;
  Field25519 operator*(const Field25519& other) const;
  Field25519 operator-() const { return Field25519() - *this; }

  /// This to the power 2^`bits` - `less`, for `less` in 1 .. 255: all powers that inverses and roots need are such.
  Field25519 power(int bits, uint32_t less) const;

  /// 1 / this; 0 for 0.
  Field25519 inverse() const { return power(255, 21); }

 private:
  using Limbs = std::array<uint32_t, 8>;  // least significant limb first

  /// limbs + carry 2^256, which is limbs + 38 carry.
  static Field25519 folded(Limbs limbs, int64_t carry);

  Limbs limbs_;
};

}  // namespace hqdit
