// SPDX-License-Identifier: Apache-2.0
#include "ed25519.h"

#include <algorithm>
#include <array>
#include <optional>

#include "field25519.h"
#include "sha512.h"

namespace hqdit {
namespace {

using Bytes32 = Field25519::Bytes;

/// The order of the base point, 2^252 + 27742317777372353535851937790883648493, least significant byte first.
constexpr Bytes32 kOrder = {0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7,
                            0xa2, 0xde, 0xf9, 0xde, 0x14, 0,    0,    0,    0,    0,    0,
                            0,    0,    0,    0,    0,    0,    0,    0,    0,    0x10};

bool less(const Bytes32& a, const Bytes32& b) {
  return std::lexicographical_compare(a.rbegin(), a.rend(), b.rbegin(), b.rend());
}

Bytes32 read32(const uint8_t* bytes) {
  Bytes32 copy;
  std::copy_n(bytes, copy.size(), copy.begin());
  return copy;
}

bool bit(const Bytes32& number, int index) {
  return ((number[static_cast<size_t>(index) / 8] >> (index % 8)) & 1) != 0;
}

/// A number of 512 bits modulo the order, a bit at a time: 2 r + bit is below 2 L, so one subtraction is enough.
Bytes32 modulo_order(const std::array<uint8_t, 64>& number) {
  Bytes32 r = {};
  for (int i = 511; i >= 0; --i) {
    uint32_t carry = (number[static_cast<size_t>(i) / 8] >> (i % 8)) & 1u;
    for (uint8_t& byte : r) {
      carry += 2u * byte;
      byte = static_cast<uint8_t>(carry);
      carry >>= 8;
    }
    if (less(r, kOrder)) continue;
    int borrow = 0;
    for (size_t j = 0; j < r.size(); ++j) {
      borrow += int{r[j]} - int{kOrder[j]};
      r[j] = static_cast<uint8_t>(borrow);
      borrow >>= 8;
    }
  }
  return r;
}

/// A point of -x^2 + y^2 = 1 + d x^2 y^2 as X / Z, Y / Z with T = X Y / Z (RFC 8032, section 5.1.4).
struct Point {
  Field25519 x, y = Field25519(1), z = Field25519(1), t;
};

struct Curve {
  Field25519 d = -Field25519(121665) * Field25519(121666).inverse();
  Field25519 root_of_minus_one = Field25519(2).power(253, 5);  // 2^((p - 1) / 4)
  Point base;

  Curve() {
    Bytes32 encoded = (Field25519(4) * Field25519(5).inverse()).bytes();
    base = *decode(encoded);
  }

  /// The unified addition, right for equal points and the neutral one, too.
  Point add(const Point& p, const Point& q) const {
    const Field25519 a = (p.y - p.x) * (q.y - q.x), b = (p.y + p.x) * (q.y + q.x);
    const Field25519 dtt = d * p.t * q.t, zz = p.z * q.z;
    const Field25519 c = dtt + dtt, g = zz + zz;
    const Field25519 e = b - a, f = g - c, h = g + c, i = b + a;
    return {e * f, h * i, f * h, e * i};
  }

  /// RFC 8032, section 5.1.3. Nothing for a y of p or more, for no point of the curve, and for -0.
  std::optional<Point> decode(Bytes32 encoded) const {
    const bool odd = (encoded[31] >> 7) != 0;
    encoded[31] &= 0x7f;
    const Field25519 one(1), y = Field25519::from_bytes(encoded);
    if (y.bytes() != encoded) return {};
    const Field25519 u = y * y - one, v = d * y * y + one;
    const Field25519 v3 = v * v * v;
    Field25519 x = u * v3 * (u * v3 * v3 * v).power(252, 3);  // ((p - 5) / 8) is 2^252 - 3
    if (!(v * x * x == u)) x = x * root_of_minus_one;
    if (!(v * x * x == u) || (x.is_zero() && odd)) return {};
    if (x.is_odd() != odd) x = -x;
    return Point{x, y, one, x * y};
  }

  static Bytes32 encode(const Point& p) {
    const Field25519 inverse = p.z.inverse();
    Bytes32 bytes = (p.y * inverse).bytes();
    if ((p.x * inverse).is_odd()) bytes[31] |= 0x80;
    return bytes;
  }

  bool has_small_order(const Point& p) const {
    const Point two = add(p, p), four = add(two, two), eight = add(four, four);
    return eight.x.is_zero() && eight.y == eight.z;
  }

  /// s base + k p: both numbers in one chain of doublings.
  Point combine(const Bytes32& s, const Bytes32& k, const Point& p) const {
    const Point both = add(base, p);
    Point sum;
    for (int i = 255; i >= 0; --i) {
      sum = add(sum, sum);
      const bool of_base = bit(s, i), of_p = bit(k, i);
      if (of_base || of_p) sum = add(sum, of_base && of_p ? both : of_base ? base : p);
    }
    return sum;
  }
};

}  // namespace

bool is_public_key(const uint8_t* key) {
  const Curve curve;
  const std::optional<Point> point = curve.decode(read32(key));
  return point && !curve.has_small_order(*point);
}

bool verify_signature(const uint8_t* key, const uint8_t* signature, const void* message, size_t size) {
  const Curve curve;
  const std::optional<Point> point = curve.decode(read32(key));
  const Bytes32 s = read32(signature + 32);
  if (!point || !less(s, kOrder)) return false;
  Sha512 hash;
  hash.update(signature, 32);
  hash.update(key, kPublicKeyBytes);
  hash.update(message, size);
  const Bytes32 k = modulo_order(hash.digest());
  const Point minus{-point->x, point->y, point->z, -point->t};
  return Curve::encode(curve.combine(s, k, minus)) == read32(signature);
}

}  // namespace hqdit
