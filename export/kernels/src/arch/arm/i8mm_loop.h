// SPDX-License-Identifier: Apache-2.0
// The product of 6 tokens and 16 channels, all of i8mm.cpp's time, in an order of its own and with weights loaded in
// pairs: compilers take a load for each and spill copies of the sums.
#pragma once

#include <cstdint>

namespace hqdit {
namespace {

constexpr int kLoopPairs = 3;

// clang-format off
/// One channel pair times the tokens in v0, v1, v2; each load comes after the last use of what it replaces.
#define HQDIT_SMMLA(sum, tokens, weights) "smmla v" #sum ".4s, v" #tokens ".16b, v" #weights ".16b\n"
#define HQDIT_THREE(weights, a, b, c, load0, load1, load2)                  \
  HQDIT_SMMLA(a, 0, weights) load0 HQDIT_SMMLA(b, 1, weights) load1         \
  HQDIT_SMMLA(c, 2, weights) load2
#define HQDIT_PAIR(low, high, offset) "ldp q" #low ", q" #high ", [%[panel], #" #offset "]\n"
#define HQDIT_TOKENS(to, from, offset) "ldr q" #to ", [%[" #from "], #" #offset "]\n"
/// Eight inputs. v3 .. v6 hold the first four channel pairs and are loaded with the others, `w4` and `w6`, then with
/// the first of the next eight inputs.
#define HQDIT_EIGHT(w4, w6, next0, next2, load0, load1, load2)                                        \
  HQDIT_THREE(3, 8, 16, 24, "", "", "") HQDIT_THREE(4, 9, 17, 25, "", "", "") HQDIT_PAIR(3, 4, w4)    \
  HQDIT_THREE(5, 10, 18, 26, "", "", "") HQDIT_THREE(6, 11, 19, 27, "", "", "") HQDIT_PAIR(5, 6, w6)  \
  HQDIT_THREE(3, 12, 20, 28, "", "", "") HQDIT_THREE(4, 13, 21, 29, "", "", "") next0                 \
  HQDIT_THREE(5, 14, 22, 30, "", "", "") HQDIT_THREE(6, 15, 23, 31, load0, load1, load2) next2
#define HQDIT_FIRST_EIGHT                                                                          \
  HQDIT_EIGHT(64, 96, HQDIT_PAIR(3, 4, 128), HQDIT_PAIR(5, 6, 160), HQDIT_TOKENS(0, a0, 16),       \
              HQDIT_TOKENS(1, a1, 16), HQDIT_TOKENS(2, a2, 16))
#define HQDIT_NEXT(pointer, bytes) "add %[" #pointer "], %[" #pointer "], #" #bytes "\n"
#define HQDIT_ZERO(a) "movi v" #a ".4s, #0\n"
#define HQDIT_ZEROS(a, b, c, d) HQDIT_ZERO(a) HQDIT_ZERO(b) HQDIT_ZERO(c) HQDIT_ZERO(d)
/// Two rows of four channels out of two 2 x 2 sums, `row` and `below` bytes from the first sum.
#define HQDIT_STORE(a, b, row, below)                                                            \
  "trn1 v0.2d, v" #a ".2d, v" #b ".2d\n" "trn2 v1.2d, v" #a ".2d, v" #b ".2d\n"                  \
  "str q0, [%[sums], #" #row "]\n" "str q1, [%[sums], #" #below "]\n"

/// lhs: pairs of tokens [k_padded / 8][2][8], `stride` bytes apart. panel: [k_padded / 8][16][8]. sums: [6][16].
/// k_padded is a multiple of 16 and at least 32.
inline void multiply_6_by_16(const uint8_t* lhs, int64_t stride, const uint8_t* panel, int64_t k_padded,
                             int32_t* sums) {
  const uint8_t* lhs1 = lhs + stride;
  const uint8_t* lhs2 = lhs1 + stride;
  int64_t rounds = k_padded / 16 - 1;
  __asm__ volatile(
      HQDIT_ZEROS(8, 9, 10, 11) HQDIT_ZEROS(12, 13, 14, 15) HQDIT_ZEROS(16, 17, 18, 19) HQDIT_ZEROS(20, 21, 22, 23)
      HQDIT_ZEROS(24, 25, 26, 27) HQDIT_ZEROS(28, 29, 30, 31)
      HQDIT_TOKENS(0, a0, 0) HQDIT_TOKENS(1, a1, 0) HQDIT_TOKENS(2, a2, 0) HQDIT_PAIR(3, 4, 0) HQDIT_PAIR(5, 6, 32)
      "1:\n"
      HQDIT_FIRST_EIGHT
      HQDIT_EIGHT(192, 224, HQDIT_PAIR(3, 4, 256), HQDIT_PAIR(5, 6, 288) HQDIT_NEXT(panel, 256),
                  HQDIT_TOKENS(0, a0, 32) HQDIT_NEXT(a0, 32), HQDIT_TOKENS(1, a1, 32) HQDIT_NEXT(a1, 32),
                  HQDIT_TOKENS(2, a2, 32) HQDIT_NEXT(a2, 32) "subs %[rounds], %[rounds], #1\n")
      "b.ne 1b\n"
      HQDIT_FIRST_EIGHT
      HQDIT_EIGHT(192, 224, "", "", "", "", "")
      HQDIT_STORE(8, 9, 0, 64) HQDIT_STORE(10, 11, 16, 80) HQDIT_STORE(12, 13, 32, 96) HQDIT_STORE(14, 15, 48, 112)
      HQDIT_STORE(16, 17, 128, 192) HQDIT_STORE(18, 19, 144, 208) HQDIT_STORE(20, 21, 160, 224)
      HQDIT_STORE(22, 23, 176, 240)
      HQDIT_STORE(24, 25, 256, 320) HQDIT_STORE(26, 27, 272, 336) HQDIT_STORE(28, 29, 288, 352)
      HQDIT_STORE(30, 31, 304, 368)
      : [a0] "+r"(lhs), [a1] "+r"(lhs1), [a2] "+r"(lhs2), [panel] "+r"(panel), [rounds] "+r"(rounds)
      : [sums] "r"(sums)
      : "cc", "memory", "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v8", "v9", "v10", "v11", "v12", "v13", "v14", "v15",
        "v16", "v17", "v18", "v19", "v20", "v21", "v22", "v23", "v24", "v25", "v26", "v27", "v28", "v29", "v30", "v31");
}
// clang-format on

#undef HQDIT_SMMLA
#undef HQDIT_THREE
#undef HQDIT_PAIR
#undef HQDIT_TOKENS
#undef HQDIT_EIGHT
#undef HQDIT_FIRST_EIGHT
#undef HQDIT_NEXT
#undef HQDIT_ZERO
#undef HQDIT_ZEROS
#undef HQDIT_STORE

}  // namespace
}  // namespace hqdit
