// SPDX-License-Identifier: Apache-2.0
// The product of 4 tokens and 4 channels, all of neon.cpp's time, in an order of its own: Cortex-A53 starts
// instructions in program order, and compilers put the three steps of a sum right behind each other, where each waits.
#pragma once

#include <cstdint>

namespace hqdit {
namespace {

constexpr int kLoopRows = 4;

// clang-format off
/// Tokens are in v0 .. v3, weights in v4 .. v7, sums of pairs in v8 .. v15.
#define HQDIT_SMULL(pairs, weights, token) "smull v" #pairs ".8h, v" #weights ".8b, v" #token ".8b\n"
#define HQDIT_SMLAL2(pairs, weights, token) "smlal2 v" #pairs ".8h, v" #weights ".16b, v" #token ".16b\n"
#define HQDIT_SADALP(sum, pairs) "sadalp v" #sum ".4s, v" #pairs ".8h\n"
/// 16 inputs of two channels into the sums a .. d and e .. h; each load comes after the last use of what it replaces.
#define HQDIT_TWO(w, x, a, b, c, d, e, f, g, h, load0, load1, load2, load3, load_w, load_x)                   \
  HQDIT_SMULL(8, w, 0) HQDIT_SMULL(9, w, 1) HQDIT_SMULL(10, w, 2) HQDIT_SMULL(11, w, 3)                       \
  HQDIT_SMULL(12, x, 0) HQDIT_SMULL(13, x, 1) HQDIT_SMULL(14, x, 2) HQDIT_SMULL(15, x, 3)                     \
  HQDIT_SMLAL2(8, w, 0) HQDIT_SMLAL2(9, w, 1) HQDIT_SMLAL2(10, w, 2) HQDIT_SMLAL2(11, w, 3)                   \
  HQDIT_SMLAL2(12, x, 0) load0 HQDIT_SMLAL2(13, x, 1) load1 HQDIT_SMLAL2(14, x, 2) load2                      \
  HQDIT_SMLAL2(15, x, 3) load3                                                                                \
  HQDIT_SADALP(a, 8) HQDIT_SADALP(b, 9) load_w HQDIT_SADALP(c, 10) HQDIT_SADALP(d, 11)                        \
  HQDIT_SADALP(e, 12) HQDIT_SADALP(f, 13) load_x HQDIT_SADALP(g, 14) HQDIT_SADALP(h, 15)
#define HQDIT_LOAD(to, from, offset) "ldr q" #to ", [%[" #from "], #" #offset "]\n"
#define HQDIT_NEXT(pointer, bytes) "add %[" #pointer "], %[" #pointer "], #" #bytes "\n"
#define HQDIT_ZERO(a) "movi v" #a ".4s, #0\n"
#define HQDIT_ZEROS(a, b, c, d) HQDIT_ZERO(a) HQDIT_ZERO(b) HQDIT_ZERO(c) HQDIT_ZERO(d)
/// The four partial sums of each of four channels, one token.
#define HQDIT_STORE(a, b, c, d)                                                                               \
  "addp v" #a ".4s, v" #a ".4s, v" #b ".4s\n" "addp v" #c ".4s, v" #c ".4s, v" #d ".4s\n"                     \
  "addp v" #a ".4s, v" #a ".4s, v" #c ".4s\n" "str q" #a ", [%[sums]], #16\n"

/// lhs: int8 tokens, `stride` bytes apart. panel: [k_padded / 16][4][16]. sums: [4 tokens][4 channels]. k_padded is a
/// multiple of 16 and at least 32.
inline void multiply_4_by_4(const uint8_t* lhs, int64_t stride, const uint8_t* panel, int64_t k_padded,
                            int32_t* sums) {
  const uint8_t* lhs1 = lhs + stride;
  const uint8_t* lhs2 = lhs1 + stride;
  const uint8_t* lhs3 = lhs2 + stride;
  int64_t rounds = k_padded / 16 - 1;
  __asm__ volatile(
      HQDIT_ZEROS(16, 17, 18, 19) HQDIT_ZEROS(20, 21, 22, 23) HQDIT_ZEROS(24, 25, 26, 27) HQDIT_ZEROS(28, 29, 30, 31)
      HQDIT_LOAD(0, a0, 0) HQDIT_LOAD(1, a1, 0) HQDIT_LOAD(2, a2, 0) HQDIT_LOAD(3, a3, 0)
      HQDIT_LOAD(4, panel, 0) HQDIT_LOAD(5, panel, 16) HQDIT_LOAD(6, panel, 32) HQDIT_LOAD(7, panel, 48)
      "1:\n"
      HQDIT_TWO(4, 5, 16, 20, 24, 28, 17, 21, 25, 29, "", "", "", "",
                HQDIT_LOAD(4, panel, 64), HQDIT_LOAD(5, panel, 80))
      HQDIT_TWO(6, 7, 18, 22, 26, 30, 19, 23, 27, 31,
                HQDIT_LOAD(0, a0, 16) HQDIT_NEXT(a0, 16), HQDIT_LOAD(1, a1, 16) HQDIT_NEXT(a1, 16),
                HQDIT_LOAD(2, a2, 16) HQDIT_NEXT(a2, 16), HQDIT_LOAD(3, a3, 16) HQDIT_NEXT(a3, 16),
                HQDIT_LOAD(6, panel, 96) "subs %[rounds], %[rounds], #1\n",
                HQDIT_LOAD(7, panel, 112) HQDIT_NEXT(panel, 64))
      "b.ne 1b\n"
      HQDIT_TWO(4, 5, 16, 20, 24, 28, 17, 21, 25, 29, "", "", "", "", "", "")
      HQDIT_TWO(6, 7, 18, 22, 26, 30, 19, 23, 27, 31, "", "", "", "", "", "")
      HQDIT_STORE(16, 17, 18, 19) HQDIT_STORE(20, 21, 22, 23) HQDIT_STORE(24, 25, 26, 27) HQDIT_STORE(28, 29, 30, 31)
      : [a0] "+r"(lhs), [a1] "+r"(lhs1), [a2] "+r"(lhs2), [a3] "+r"(lhs3), [panel] "+r"(panel),
        [rounds] "+r"(rounds), [sums] "+r"(sums)
      :
      : "cc", "memory", "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9", "v10", "v11", "v12", "v13", "v14",
        "v15", "v16", "v17", "v18", "v19", "v20", "v21", "v22", "v23", "v24", "v25", "v26", "v27", "v28", "v29",
        "v30", "v31");
}
// clang-format on

#undef HQDIT_SMULL
#undef HQDIT_SMLAL2
#undef HQDIT_SADALP
#undef HQDIT_TWO
#undef HQDIT_LOAD
#undef HQDIT_NEXT
#undef HQDIT_ZERO
#undef HQDIT_ZEROS
#undef HQDIT_STORE

}  // namespace
}  // namespace hqdit
