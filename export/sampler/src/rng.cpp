// SPDX-License-Identifier: Apache-2.0
#include "rng.h"

#include <algorithm>
#include <cmath>

#include "portable_math.h"

namespace hqdit {
namespace {

void box_muller(uint32_t w0, uint32_t w1, float* out) {
  const double u = (static_cast<double>(w0) + 0.5) * (1.0 / 4294967296.0);
  const double r = std::sqrt(-2.0 * portable_log(u));
  const SinCos angle = portable_sincos(w1);
  out[0] = static_cast<float>(r * angle.cos);
  out[1] = static_cast<float>(r * angle.sin);
}

}  // namespace

Philox4 philox4x32(Philox4 counter, std::array<uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    const uint64_t p0 = uint64_t{0xD2511F53} * counter[0];
    const uint64_t p1 = uint64_t{0xCD9E8D57} * counter[2];
    counter = {static_cast<uint32_t>(p1 >> 32) ^ counter[1] ^ key[0], static_cast<uint32_t>(p1),
               static_cast<uint32_t>(p0 >> 32) ^ counter[3] ^ key[1], static_cast<uint32_t>(p0)};
    key[0] += 0x9E3779B9;
    key[1] += 0xBB67AE85;
  }
  return counter;
}

void fill_normal(uint64_t seed, uint32_t stream, float* out, size_t count) {
  const std::array<uint32_t, 2> key = {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)};
  for (size_t i = 0; i < count; i += 4) {
    const uint64_t block = i / 4;
    const Philox4 words =
        philox4x32({static_cast<uint32_t>(block), static_cast<uint32_t>(block >> 32), stream, 0}, key);
    float normals[4];
    box_muller(words[0], words[1], normals);
    box_muller(words[2], words[3], normals + 2);
    std::copy_n(normals, std::min<size_t>(4, count - i), out + i);
  }
}

}  // namespace hqdit
