// SPDX-License-Identifier: Apache-2.0
// The product of 12 tokens and 8 channels, all of dotprod.cpp's time, in an order of its own. Cortex-A55 starts
// instructions in program order and no load beside SDOT; compilers put loads right before their use, where it waits for
// them. 24 sums for 5 operands need the fewest loads, and an operand is loaded anew after its last product.
#pragma once

#include <cstdint>

namespace hqdit {
namespace {

constexpr int kLoopPacks = 3;

// clang-format off
/// Four tokens' products with four channels; sums are in registers a .. d.
#define HQDIT_SDOT(a, weights, tokens, lane) "sdot v" #a ".4s, v" #weights ".16b, v" #tokens ".4b[" #lane "]\n"
#define HQDIT_SDOTS(weights, tokens, a, b, c, d)                       \
  HQDIT_SDOT(a, weights, tokens, 0) HQDIT_SDOT(b, weights, tokens, 1)  \
  HQDIT_SDOT(c, weights, tokens, 2) HQDIT_SDOT(d, weights, tokens, 3)
/// Four inputs: operands in v0, v1, v2 (tokens) and v3, v4 (weights), each followed by what loads it anew.
#define HQDIT_QUAD(load3, load0, load1, load2, load4)                                                        \
  HQDIT_SDOTS(3, 0, 8, 9, 10, 11) HQDIT_SDOTS(3, 1, 12, 13, 14, 15) HQDIT_SDOTS(3, 2, 16, 17, 18, 19) load3  \
  HQDIT_SDOTS(4, 0, 20, 21, 22, 23) load0 HQDIT_SDOTS(4, 1, 24, 25, 26, 27) load1                            \
  HQDIT_SDOTS(4, 2, 28, 29, 30, 31) load2 load4
#define HQDIT_LOAD(to, from, offset) "ldr q" #to ", [%[" #from "], #" #offset "]\n"
/// A quad whose loads are those of the next one, `t` and `w` bytes from the pointers, `w1` the second weights.
#define HQDIT_QUAD_BEFORE(t, w, w1)                                                                      \
  HQDIT_QUAD(HQDIT_LOAD(3, panel, w), HQDIT_LOAD(0, a0, t), HQDIT_LOAD(1, a1, t), HQDIT_LOAD(2, a2, t),  \
             HQDIT_LOAD(4, panel, w1))
#define HQDIT_THREE_QUADS HQDIT_QUAD_BEFORE(16, 32, 48) HQDIT_QUAD_BEFORE(32, 64, 80) HQDIT_QUAD_BEFORE(48, 96, 112)
#define HQDIT_NEXT(pointer, bytes) "add %[" #pointer "], %[" #pointer "], #" #bytes "\n"
#define HQDIT_ZERO(a) "movi v" #a ".4s, #0\n"
#define HQDIT_ZEROS(a, b, c, d) HQDIT_ZERO(a) HQDIT_ZERO(b) HQDIT_ZERO(c) HQDIT_ZERO(d)
/// A token's sums, first and second four channels.
#define HQDIT_STORE(a, b, offset) "stp q" #a ", q" #b ", [%[sums], #" #offset "]\n"

/// lhs: packs of four tokens [k_padded / 4][4][4], `stride` bytes apart. panel: [k_padded / 4][8][4].
/// sums: [12][8]. k_padded is a multiple of 16 and at least 32.
inline void multiply_12_by_8(const uint8_t* lhs, int64_t stride, const uint8_t* panel, int64_t k_padded,
                             int32_t* sums) {
  const uint8_t* lhs1 = lhs + stride;
  const uint8_t* lhs2 = lhs1 + stride;
  int64_t rounds = k_padded / 16 - 1;
  __asm__ volatile(
      HQDIT_ZEROS(8, 9, 10, 11) HQDIT_ZEROS(12, 13, 14, 15) HQDIT_ZEROS(16, 17, 18, 19) HQDIT_ZEROS(20, 21, 22, 23)
      HQDIT_ZEROS(24, 25, 26, 27) HQDIT_ZEROS(28, 29, 30, 31)
      HQDIT_LOAD(3, panel, 0) HQDIT_LOAD(0, a0, 0) HQDIT_LOAD(1, a1, 0) HQDIT_LOAD(2, a2, 0) HQDIT_LOAD(4, panel, 16)
      "1:\n"
      HQDIT_THREE_QUADS
      HQDIT_QUAD(HQDIT_LOAD(3, panel, 128) "subs %[rounds], %[rounds], #1\n", HQDIT_LOAD(0, a0, 64) HQDIT_NEXT(a0, 64),
                 HQDIT_LOAD(1, a1, 64) HQDIT_NEXT(a1, 64), HQDIT_LOAD(2, a2, 64) HQDIT_NEXT(a2, 64),
                 HQDIT_LOAD(4, panel, 144) HQDIT_NEXT(panel, 128))
      "b.ne 1b\n"
      HQDIT_THREE_QUADS
      HQDIT_QUAD("", "", "", "", "")
      HQDIT_STORE(8, 20, 0) HQDIT_STORE(9, 21, 32) HQDIT_STORE(10, 22, 64)
      HQDIT_STORE(11, 23, 96) HQDIT_STORE(12, 24, 128) HQDIT_STORE(13, 25, 160)
      HQDIT_STORE(14, 26, 192) HQDIT_STORE(15, 27, 224) HQDIT_STORE(16, 28, 256)
      HQDIT_STORE(17, 29, 288) HQDIT_STORE(18, 30, 320) HQDIT_STORE(19, 31, 352)
      : [a0] "+r"(lhs), [a1] "+r"(lhs1), [a2] "+r"(lhs2), [panel] "+r"(panel), [rounds] "+r"(rounds)
      : [sums] "r"(sums)
      : "cc", "memory", "v0", "v1", "v2", "v3", "v4", "v8", "v9", "v10", "v11", "v12", "v13", "v14", "v15", "v16",
        "v17", "v18", "v19", "v20", "v21", "v22", "v23", "v24", "v25", "v26", "v27", "v28", "v29", "v30", "v31");
}
// clang-format on

#undef HQDIT_SDOT
#undef HQDIT_SDOTS
#undef HQDIT_QUAD
#undef HQDIT_LOAD
#undef HQDIT_QUAD_BEFORE
#undef HQDIT_THREE_QUADS
#undef HQDIT_NEXT
#undef HQDIT_ZERO
#undef HQDIT_ZEROS
#undef HQDIT_STORE

}  // namespace
}  // namespace hqdit
