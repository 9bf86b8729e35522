// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>

namespace hqdit {

/// SHA-2 (FIPS 180-4) of a stream of bytes. `Kind` has the size of a word and the constants: kStart, kRounds, and the
/// two rotations and the shift of small sigma 0 and 1 (kSchedule), the three rotations of large sigma 0 and 1 (kMix).
template <class Kind>
class Sha2 {
 public:
  using Word = typename Kind::Word;

  void update(const void* data, size_t size) {
    const auto* bytes = static_cast<const uint8_t*>(data);
    total_ += size;
    while (size > 0) {
      const size_t n = std::min(size, buffer_.size() - buffered_);
      std::memcpy(buffer_.data() + buffered_, bytes, n);
      buffered_ += n, bytes += n, size -= n;
      if (buffered_ == buffer_.size()) block(), buffered_ = 0;
    }
  }

  /// Ends the stream.
  std::array<uint8_t, 8 * sizeof(Word)> digest() {
    const uint64_t bits = total_ * 8;
    const uint8_t one = 0x80, zero = 0;
    update(&one, 1);
    std::array<uint8_t, 2 * sizeof(Word)> length = {};
    while (buffered_ != buffer_.size() - length.size()) update(&zero, 1);
    for (size_t i = 0; i < 8; ++i) length[length.size() - 8 + i] = static_cast<uint8_t>(bits >> (56 - 8 * i));
    update(length.data(), length.size());
    std::array<uint8_t, 8 * sizeof(Word)> out;
    for (size_t i = 0; i < out.size(); ++i) {
      out[i] = static_cast<uint8_t>(state_[i / sizeof(Word)] >> (8 * (sizeof(Word) - 1 - i % sizeof(Word))));
    }
    return out;
  }

 private:
  static Word rotate(Word x, int n) { return (x >> n) | (x << (8 * static_cast<int>(sizeof(Word)) - n)); }
  static Word schedule(Word x, const int (&n)[3]) { return rotate(x, n[0]) ^ rotate(x, n[1]) ^ (x >> n[2]); }
  static Word mix(Word x, const int (&n)[3]) { return rotate(x, n[0]) ^ rotate(x, n[1]) ^ rotate(x, n[2]); }

  template <size_t... kByte>
  static Word big_endian(const uint8_t* bytes, std::index_sequence<kByte...>) {
    return ((Word{bytes[kByte]} << (8 * (sizeof(Word) - 1 - kByte))) | ...);
  }

  void block() {
    constexpr size_t rounds = std::size(Kind::kRounds);
    Word w[rounds];
    for (size_t i = 0; i < 16; ++i)
      w[i] = big_endian(&buffer_[sizeof(Word) * i], std::make_index_sequence<sizeof(Word)>());
    for (size_t i = 16; i < rounds; ++i) {
      w[i] = w[i - 16] + schedule(w[i - 15], Kind::kSchedule[0]) + w[i - 7] + schedule(w[i - 2], Kind::kSchedule[1]);
    }
    auto [a, b, c, d, e, f, g, h] = state_;
    for (size_t i = 0; i < rounds; ++i) {
      const Word t1 = h + mix(e, Kind::kMix[1]) + ((e & f) ^ (~e & g)) + Kind::kRounds[i] + w[i];
      const Word t2 = mix(a, Kind::kMix[0]) + ((a & b) ^ (a & c) ^ (b & c));
      h = g, g = f, f = e, e = d + t1, d = c, c = b, b = a, a = t1 + t2;
    }
    const Word sums[8] = {a, b, c, d, e, f, g, h};
    for (size_t i = 0; i < 8; ++i) state_[i] += sums[i];
  }

  std::array<Word, 8> state_ = Kind::kStart;
  std::array<uint8_t, 16 * sizeof(Word)> buffer_ = {};
  size_t buffered_ = 0;
  uint64_t total_ = 0;
};

}  // namespace hqdit
