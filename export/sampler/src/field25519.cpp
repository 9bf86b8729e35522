// SPDX-License-Identifier: Apache-2.0
#include "field25519.h"

namespace hqdit {

Field25519 Field25519::folded(Limbs limbs, int64_t carry) {
  while (carry != 0) {
    carry *= 38;
    for (uint32_t& limb : limbs) {
      carry += limb;
      limb = static_cast<uint32_t>(carry);
      carry >>= 32;  // of a negative number, too: rounds down
    }
  }
  Field25519 result;
  result.limbs_ = limbs;
  return result;
}

Field25519 Field25519::from_bytes(const Bytes& bytes) {
  Field25519 result;
  for (size_t i = 0; i < bytes.size(); ++i) result.limbs_[i / 4] |= uint32_t{bytes[i]} << (8 * (i % 4));
  return result;
}

Field25519::Bytes Field25519::bytes() const {
  // Below 2^255 + 19, since 2^255 is 19, then below p: whether the number plus 19 reaches 2^255 tells it.
  Limbs limbs = limbs_;
  for (int pass = 0; pass < 2; ++pass) {
    uint64_t carry = 19 * uint64_t{limbs[7] >> 31};
    limbs[7] &= 0x7fffffff;
    for (uint32_t& limb : limbs) {
      carry += limb;
      limb = static_cast<uint32_t>(carry);
      carry >>= 32;
    }
  }
  Limbs plus = limbs;
  uint64_t carry = 19;
  for (uint32_t& limb : plus) {
    carry += limb;
    limb = static_cast<uint32_t>(carry);
    carry >>= 32;
  }
  if ((plus[7] >> 31) != 0) limbs = plus, limbs[7] &= 0x7fffffff;
  Bytes bytes;
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<uint8_t>(limbs[i / 4] >> (8 * (i % 4)));
  return bytes;
}

Field25519 Field25519::operator+(const Field25519& other) const {
  Limbs sum;
  uint64_t carry = 0;
  for (size_t i = 0; i < sum.size(); ++i) {
    carry += uint64_t{limbs_[i]} + other.limbs_[i];
    sum[i] = static_cast<uint32_t>(carry);
    carry >>= 32;
  }
  return folded(sum, static_cast<int64_t>(carry));
}

Field25519 Field25519::operator-(const Field25519& other) const {
  Limbs difference;
  int64_t carry = 0;
  for (size_t i = 0; i < difference.size(); ++i) {
    carry += int64_t{limbs_[i]} - int64_t{other.limbs_[i]};
    difference[i] = static_cast<uint32_t>(carry);
    carry >>= 32;
  }
  return folded(difference, carry);
}

Field25519 Field25519::operator*(const Field25519& other) const {
  uint32_t product[16] = {};
  for (size_t i = 0; i < 8; ++i) {
    uint64_t carry = 0;
    for (size_t j = 0; j < 8; ++j) {
      carry += uint64_t{limbs_[i]} * other.limbs_[j] + product[i + j];  // at most 2^64 - 1
      product[i + j] = static_cast<uint32_t>(carry);
      carry >>= 32;
    }
    product[i + 8] = static_cast<uint32_t>(carry);
  }
  Limbs limbs;
  uint64_t carry = 0;
  for (size_t i = 0; i < 8; ++i) {
    carry += product[i] + 38 * uint64_t{product[i + 8]};
    limbs[i] = static_cast<uint32_t>(carry);
    carry >>= 32;
  }
  return folded(limbs, static_cast<int64_t>(carry));
}

Field25519 Field25519::power(int bits, uint32_t less) const {
  // 2^bits - less has ones above bit 7 and 256 - less below.
  const uint32_t low = 256 - less;
  Field25519 result(1);
  for (int bit = bits - 1; bit >= 0; --bit) {
    result = result * result;
    if (bit >= 8 || ((low >> bit) & 1) != 0) result = result * *this;
  }
  return result;
}

}  // namespace hqdit
