// SPDX-License-Identifier: Apache-2.0
// Takes the place of hqdit::has_amx where the linker wraps it: where the processor has no AMX, the emulator has it.
#include "amx_emulator.h"
#include "gemm/processor.h"

extern "C" {
bool __real__ZN5hqdit7has_amxEv();
bool __wrap__ZN5hqdit7has_amxEv();
}

bool __wrap__ZN5hqdit7has_amxEv() {
  if (__real__ZN5hqdit7has_amxEv()) return true;
  if (!hqdit::has_avx512vbmi()) return false;
  emulate_amx();
  return true;
}
