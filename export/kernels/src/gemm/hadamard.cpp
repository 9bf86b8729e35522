// SPDX-License-Identifier: Apache-2.0
#include "gemm/hadamard.h"

#include <cstring>

namespace hqdit {
namespace {

template <int Q>
struct Paley {
  static constexpr int kOrder = 2 * (Q + 1);
  float transposed[kOrder * kOrder];
};

template <int Q>
constexpr Paley<Q> make_paley() {
  int character[Q] = {};
  for (int a = 1; a < Q; ++a) character[a] = -1;
  for (int a = 1; a < Q; ++a) character[a * a % Q] = 1;
  Paley<Q> h{};
  for (int i = 0; i <= Q; ++i) {
    for (int j = 0; j <= Q; ++j) {
      int c = 1;
      if (i == 0 && j == 0) c = 0;
      if (i > 0 && j > 0) c = character[(i - j + Q) % Q];
      const int zero[2][2] = {{1, -1}, {-1, -1}};
      const int one[2][2] = {{1, 1}, {1, -1}};
      for (int di = 0; di < 2; ++di) {
        for (int dj = 0; dj < 2; ++dj) {
          const int entry = c == 0 ? zero[di][dj] : c * one[di][dj];
          h.transposed[(2 * j + dj) * Paley<Q>::kOrder + 2 * i + di] = static_cast<float>(entry);
        }
      }
    }
  }
  return h;
}

constexpr Paley<5> kPaley12 = make_paley<5>();
constexpr Paley<13> kPaley28 = make_paley<13>();
constexpr Paley<17> kPaley36 = make_paley<17>();

}  // namespace

Rotation factor_rotation(int64_t order) {
  int64_t odd = order;
  while (odd > 1 && odd % 2 == 0) odd /= 2;
  Rotation rotation{0, 0, nullptr};
  if (odd == 1) rotation = {1, order, nullptr};
  if (odd == 3) rotation = {12, order / 12, kPaley12.transposed};
  if (odd == 7) rotation = {28, order / 28, kPaley28.transposed};
  if (odd == 9) rotation = {36, order / 36, kPaley36.transposed};
  if (order < 1 || rotation.m * rotation.power != order) rotation.m = 0;
  return rotation;
}

void rotate_block(const Rotation& rotation, float* block, float* spare) {
  const int64_t m = rotation.m;
  const int64_t power = rotation.power;
  for (int64_t h = 1; h < power; h *= 2) {
    for (int64_t start = 0; start < m * power; start += 2 * h) {
      for (int64_t i = start; i < start + h; ++i) {
        const float a = block[i];
        const float b = block[i + h];
        block[i] = a + b;
        block[i + h] = a - b;
      }
    }
  }
  if (m == 1) return;
  std::memcpy(spare, block, sizeof(float) * static_cast<size_t>(m * power));
  for (int64_t i = 0; i < m; ++i) {
    for (int64_t column = 0; column < power; ++column) {
      float sum = rotation.paley_t[i] * spare[column];
      for (int64_t j = 1; j < m; ++j) sum += rotation.paley_t[j * m + i] * spare[j * power + column];
      block[i * power + column] = sum;
    }
  }
}

}  // namespace hqdit
