// SPDX-License-Identifier: Apache-2.0
// amx_check: compares AMX's instructions, of the processor or of the emulator, with plain loops; the first difference
// ends it.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <thread>
#include <vector>

#include "amx_tiles.h"
#include "gemm/processor.h"

namespace {

void check(bool right, const char* what) {
  if (right) return;
  std::fprintf(stderr, "amx_check: %s\n", what);
  std::exit(1);
}

using Bytes = std::vector<uint8_t>;

Bytes random_bytes(std::mt19937& random, int count) {
  Bytes bytes(static_cast<size_t>(count));
  // The limits often, where a wrong sign shows most.
  for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random() % 4 == 0 ? 127 + random() % 2 : random());
  return bytes;
}

struct Sizes {
  int m, n, k;  // k: bytes
};

/// sums[m][n] += left[m][k] right[k][n], modulo 2^32.
template <class A, class B>
void multiply(const Sizes& s, const Bytes& left, const Bytes& right, std::vector<uint32_t>& sums) {
  for (int m = 0; m < s.m; ++m) {
    for (int n = 0; n < s.n; ++n) {
      int64_t sum = 0;
      for (int k = 0; k < s.k; ++k) {
        sum += static_cast<A>(left[static_cast<size_t>(m * s.k + k)]) *
               static_cast<B>(right[static_cast<size_t>(k * s.n + n)]);
      }
      sums[static_cast<size_t>(m * s.n + n)] += static_cast<uint32_t>(sum);
    }
  }
}

/// Rows of `row_bytes` bytes, `stride` apart, between bytes that nobody may touch.
Bytes spread(const uint8_t* rows, int count, int row_bytes, int stride) {
  Bytes memory(static_cast<size_t>(count * stride), 0xCD);
  for (int i = 0; i < count; ++i) std::copy_n(rows + i * row_bytes, row_bytes, memory.begin() + i * stride);
  return memory;
}

/// As tiles have it: four rows of a matrix in one, byte by byte.
Bytes in_quads(const Sizes& s, const Bytes& right) {
  Bytes quads(right.size());
  for (int k = 0; k < s.k; ++k) {
    for (int n = 0; n < s.n; ++n) {
      quads[static_cast<size_t>((k / 4 * s.n + n) * 4 + k % 4)] = right[static_cast<size_t>(k * s.n + n)];
    }
  }
  return quads;
}

void check_products(unsigned seed) {
  std::mt19937 random(seed);
  const auto upto16 = [&] { return static_cast<int>(random() % 16) + 1; };
  const Sizes s = seed == 0 ? Sizes{16, 16, 64} : Sizes{upto16(), upto16(), 4 * upto16()};
  const Bytes left = random_bytes(random, s.m * s.k);
  const Bytes right = random_bytes(random, s.k * s.n);
  const int gap = static_cast<int>(random() % 9);
  const Bytes left_memory = spread(left.data(), s.m, s.k, s.k + gap);
  const Bytes right_memory = spread(in_quads(s, right).data(), s.k / 4, 4 * s.n, 4 * s.n + gap);
  std::vector<uint32_t> start(static_cast<size_t>(s.m * s.n));
  for (uint32_t& sum : start) sum = static_cast<uint32_t>(random());
  const int stride = 4 * s.n + gap;
  const auto as_memory = [&](const std::vector<uint32_t>& sums) {
    return spread(reinterpret_cast<const uint8_t*>(sums.data()), s.m, 4 * s.n, stride);
  };
  const Bytes start_memory = as_memory(start);

  TileConfig().palette(1).tile(0, s.m, 4 * s.n).tile(7, s.m, s.k).tile(3, s.k / 4, 4 * s.n).load();
  load_tile<7>(left_memory.data(), s.k + gap);
  stream_tile<3>(right_memory.data(), 4 * s.n + gap);
#define CHECK_PRODUCT(name, A, B)                                    \
  {                                                                  \
    std::vector<uint32_t> expected = start;                          \
    multiply<A, B>(s, left, right, expected);                        \
    load_tile<0>(start_memory.data(), stride);                       \
    name<0, 7, 3>();                                                 \
    Bytes stored(start_memory.size(), 0xCD);                         \
    store_tile<0>(stored.data(), stride);                            \
    check(stored == as_memory(expected), #name " gives other sums"); \
  }
  CHECK_PRODUCT(tdpbssd, int8_t, int8_t)
  CHECK_PRODUCT(tdpbsud, int8_t, uint8_t)
  CHECK_PRODUCT(tdpbusd, uint8_t, int8_t)
  CHECK_PRODUCT(tdpbuud, uint8_t, uint8_t)
  release_tiles();
}

struct Numbers {
  uint8_t rows[64][64];

  explicit Numbers(int first) {
    for (int i = 0; i < 64 * 64; ++i) rows[i / 64][i % 64] = static_cast<uint8_t>(first + i + i / 251);
  }
};

void check_zeros() {
  const Numbers numbers(1);
  const Bytes zeros(16 * 64);
  const auto is_zero = [&] {
    Bytes stored(16 * 64, 0xCD);
    store_tile<2>(stored.data(), 64);
    return stored == zeros;
  };
  const TileConfig whole = TileConfig().palette(1).tile(2, 16, 64);
  whole.load();
  check(is_zero(), "a configured tile is not zero");
  load_tile<2>(numbers.rows, 64);
  check(!is_zero(), "a loaded tile is zero");
  zero_tile<2>();
  check(is_zero(), "TILEZERO leaves something");
  load_tile<2>(numbers.rows, 64);
  whole.load();
  check(is_zero(), "LDTILECFG leaves something");
  load_tile<2>(numbers.rows, 64);
  release_tiles();
  whole.load();
  check(is_zero(), "TILERELEASE leaves something");
  release_tiles();
}

/// Tile 1, 16 rows of 64 bytes, against rows from `first` on, `step` rows apart.
void check_rows(const Numbers& numbers, int first, int step, const char* what) {
  uint8_t stored[16][64];
  store_tile<1>(stored, 64);
  for (int i = 0; i < 16; ++i) check(std::memcmp(stored[i], numbers.rows[first + i * step], 64) == 0, what);
}

void check_addresses() {
  static const TileConfig configs[3] = {TileConfig().palette(1).tile(1, 16, 64), {}, {}};
  const TileConfig& config = configs[0];
  const Numbers numbers(7);
  const auto* const memory = numbers.rows;
#define WITH(instruction, low, a, high, b)                                                       \
  asm volatile("mov %0, %%" #low "\n mov %1, %%" #high "\n" instruction::"r"(a), "r"(int64_t{b}) \
               : #low, #high, "memory")
  // Bases of which 64-bit mode has special forms: SIB's own number, and those that have a displacement always.
  WITH("ldtilecfg (%%r12)", r12, &config, rax, 0);
  WITH("tileloadd (%%r12,%%rax), %%tmm1", r12, memory, rax, 64);
  check_rows(numbers, 0, 1, "base r12");
  WITH("ldtilecfg 64(%%rbx,%%r14,4)", rbx, &config, r14, -16);
  WITH("tileloadd (%%r13,%%r12), %%tmm1", r13, memory, r12, 128);
  check_rows(numbers, 0, 2, "base r13, index r12");
  WITH("ldtilecfg -128(%%r13)", r13, configs + 2, rax, 0);
  WITH("tileloadd 64(%%rbx,%%r15,2), %%tmm1", rbx, memory, r15, 96);
  check_rows(numbers, 1, 3, "index times two, short displacement");
  WITH("tileloaddt1 -64(%%r8,%%rcx,4), %%tmm1", r8, memory + 2, rcx, 16);
  check_rows(numbers, 1, 1, "negative displacement");
  WITH("tileloadd 0x400(%%rdx,%%rsi,8), %%tmm1", rdx, memory, rsi, 8);
  check_rows(numbers, 16, 1, "long displacement");
  WITH("tileloadd (%%rdi,%%r9), %%tmm1", rdi, memory + 20, r9, -64);
  check_rows(numbers, 20, -1, "negative stride");
  WITH("tileloadd (%%r10), %%tmm1", r10, memory + 5, rax, 64);
  check_rows(numbers, 5, 0, "no index: the stride is zero");
  // VEX.X makes it r12, which is no "no index".
  WITH("tileloadd (%%r11,%%r12), %%tmm1", r11, memory, r12, 64);
  check_rows(numbers, 0, 1, "index r12");

  // Relative to the next instruction; the memory operand is what the compiler makes of a static object.
  asm volatile("ldtilecfg %0" ::"m"(configs[1]) : "memory");
  asm volatile("ldtilecfg %0" ::"m"(configs[0]) : "memory");
  load_tile<1>(memory, 64);
  check_rows(numbers, 0, 1, "configuration relative to the instruction");
  release_tiles();
}

void check_threads() {
  const Numbers mine(3);
  const Numbers theirs(5);
  const TileConfig config = TileConfig().palette(1).tile(1, 16, 64);
  config.load();
  load_tile<1>(mine.rows, 64);
  std::thread([&] {
    config.load();
    load_tile<1>(theirs.rows, 64);
    check_rows(theirs, 0, 1, "another thread's tile");
    release_tiles();
  }).join();
  check_rows(mine, 0, 1, "a tile after another thread's");
  release_tiles();
}

}  // namespace

int main() {
  check(hqdit::has_amx(), "this processor has no such instruction set");
  for (unsigned seed = 0; seed < 200; ++seed) check_products(seed);
  check_zeros();
  check_addresses();
  check_threads();
  return 0;
}
