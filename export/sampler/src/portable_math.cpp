// SPDX-License-Identifier: Apache-2.0
#include "portable_math.h"

#include <cstring>

namespace hqdit {
namespace {

// What is left out is below 2^-53 of the leading term for |s| <= 3 - 2 sqrt(2) = 0.172.
constexpr int kLogTerms = 11;

constexpr double kLn2 = 0.693147180559945309417232121458;
constexpr double kTwoPi = 6.28318530717958647692528676656;
constexpr double kSqrt2 = 1.41421356237309504880168872421;

}  // namespace

double portable_log(double x) {
  uint64_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  double exponent = static_cast<double>(static_cast<int64_t>(bits >> 52) - 1023);
  bits = (bits & 0x000fffffffffffffULL) | 0x3ff0000000000000ULL;
  double m;
  std::memcpy(&m, &bits, sizeof m);
  if (m > kSqrt2) {
    m = m * 0.5;
    exponent = exponent + 1.0;
  }
  // log m = 2 artanh s = 2 s (1 + s^2/3 + s^4/5 + ...)
  const double s = (m - 1.0) / (m + 1.0);
  const double z = s * s;
  double series = 1.0 / (2 * kLogTerms + 1);
  for (int k = kLogTerms - 1; k >= 0; --k) series = series * z + 1.0 / (2 * k + 1);
  return exponent * kLn2 + (2.0 * s) * series;
}

SinCos portable_sincos(uint32_t turn) {
  const uint32_t quadrant = (turn + 0x20000000u) >> 30;  // nearest quarter turn; wraps to 0 at a full one
  const auto offset = static_cast<int32_t>(turn - (quadrant << 30));
  const double x = static_cast<double>(offset) * (kTwoPi / 4294967296.0);
  return sincos_from_quadrant(quadrant, x);
}

}  // namespace hqdit
