// SPDX-License-Identifier: Apache-2.0
// amx_misuse WHAT: uses AMX in a way that Intel's manual forbids. A signal should end it; it returns 0 if none does, 2
// if it knows no such misuse.
#include <csignal>
#include <cstdio>
#include <cstring>
#include <thread>

#include "amx_tiles.h"
#include "gemm/processor.h"

namespace {

uint8_t memory[16 * 64];

/// Tiles 0, 1 and 2 whole.
TileConfig three() { return TileConfig().palette(1).tile(0, 16, 64).tile(1, 16, 64).tile(2, 16, 64); }

/// Byte `at` of the configuration must be zero.
void reserved(int at) {
  TileConfig config = three();
  config.bytes[at] = 1;
  config.load();
}

struct Misuse {
  const char* name;
  void (*run)();
};

// They end by SIGILL.
const Misuse kMisuses[] = {
    {"nothing configured", [] { zero_tile<0>(); }},
    {"released", [] { three().load(), release_tiles(), zero_tile<0>(); }},
    {"palette 0", [] { three().load(), TileConfig().load(), zero_tile<0>(); }},
    {"another thread's", [] { three().load(), std::thread([] { zero_tile<0>(); }).join(); }},
    {"load into no tile", [] { three().load(), load_tile<3>(memory, 64); }},
    {"stream into no tile", [] { three().load(), stream_tile<3>(memory, 64); }},
    {"store of no tile", [] { three().load(), store_tile<3>(memory, 64); }},
    {"sum in no tile", [] { three().load(), tdpbssd<3, 1, 2>(); }},
    {"product of no tile", [] { three().load(), tdpbssd<0, 1, 3>(); }},
    // Assemblers refuse these two.
    {"square",
     [] {
       three().load();
       asm volatile(".byte 0xC4, 0xE2, 0x73, 0x5E, 0xC1  # tdpbssd %tmm1, %tmm1, %tmm0");
     }},
    {"product with the sum",
     [] {
       three().load();
       asm volatile(".byte 0xC4, 0xE2, 0x71, 0x5E, 0xC0  # tdpbusd %tmm1, %tmm0, %tmm0");
     }},
    {"other rows", [] { three().tile(0, 15, 64).load(), tdpbssd<0, 1, 2>(); }},
    {"other columns", [] { three().tile(0, 16, 60).load(), tdpbssd<0, 1, 2>(); }},
    {"other depth", [] { three().tile(1, 16, 60).load(), tdpbssd<0, 1, 2>(); }},
    {"broken rows", [] { three().tile(1, 16, 62).load(), load_tile<1>(memory, 64); }},
    {"no instruction of AMX", [] { asm volatile("ud2"); }},
    {"sent by a process", [] { static_cast<void>(raise(SIGILL)); }},
    // LDTILECFG refuses these, and they end by SIGSEGV.
    {"palette 2", [] { three().palette(2).load(); }},
    {"17 rows", [] { three().tile(7, 17, 64).load(); }},
    {"65 bytes", [] { three().tile(7, 16, 65).load(); }},
    {"no rows", [] { three().tile(7, 0, 64).load(); }},
    {"no bytes", [] { three().tile(7, 16, 0).load(); }},
    {"byte 2", [] { reserved(2); }},
    {"byte 15", [] { reserved(15); }},
    {"tile 8", [] { reserved(32); }},
    {"rows of tile 8", [] { reserved(56); }},
};

}  // namespace

int main(int count, char** arguments) {
  if (count != 2) return 2;
  if (!hqdit::has_amx()) {
    std::fputs("this processor has no such instruction set\n", stderr);
    return 1;
  }
  for (const Misuse& misuse : kMisuses) {
    if (std::strcmp(misuse.name, arguments[1]) != 0) continue;
    misuse.run();
    return 0;
  }
  return 2;
}
