// SPDX-License-Identifier: Apache-2.0
// Executes AMX's instructions for int8 where the processor has none: each raises SIGILL, and its handler does what the
// Intel 64 and IA-32 Architectures Software Developer's Manual says (volume 2; palette 1). A wrong use ends the process
// by the signal that it would get from a processor with AMX, any other illegal instruction by SIGILL.
#include "amx_emulator.h"

#include <ucontext.h>
#include <unistd.h>

#include <csignal>
#include <cstdint>
#include <cstring>

namespace {

constexpr int kTiles = 8;
constexpr int kRows = 16;
constexpr int kRowBytes = 64;

struct Tile {
  uint8_t rows[kRows][kRowBytes];
};

struct Shape {
  int rows;
  int row_bytes;  // both zero: no such tile
};

struct State {
  Shape shapes[kTiles];
  Tile tiles[kTiles];
};

thread_local State state;

enum Prefix { kNone, k66, kF3, kF2 };

struct Instruction {
  int prefix;
  int opcode;
  int vvvv;
  bool in_memory;
  bool has_sib;
  int reg;
  int rm;
  uintptr_t address;  // base and displacement
  uintptr_t index;    // scaled
  int64_t length;
};

uintptr_t general_register(const greg_t* registers, int number) {
  constexpr int kOrder[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                              REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};
  return static_cast<uintptr_t>(registers[kOrder[number]]);
}

/// False for what is no VEX.128.0F38.W0, as all of AMX is. Bytes are looked at one by one, since memory may end behind
/// a shorter instruction.
bool decode(const uint8_t* code, const greg_t* registers, Instruction& in) {
  if (code[0] != 0xC4 || (code[1] & 0x1F) != 2 || (code[2] & 0x84) != 0) return false;
  const int r = (code[1] & 0x80) != 0 ? 0 : 8;
  const int x = (code[1] & 0x40) != 0 ? 0 : 8;
  const int b = (code[1] & 0x20) != 0 ? 0 : 8;
  in.prefix = code[2] & 3;
  in.vvvv = ~code[2] >> 3 & 15;
  in.opcode = code[3];
  const int mod = code[4] >> 6;
  in.reg = r + (code[4] >> 3 & 7);
  in.rm = b + (code[4] & 7);
  in.in_memory = mod != 3;
  const uint8_t* next = code + 5;
  if (in.in_memory) {
    in.has_sib = (in.rm & 7) == 4;
    int base = in.rm;
    if (in.has_sib) {
      const int sib = *next++;
      base = b + (sib & 7);
      const int index = x + (sib >> 3 & 7);
      constexpr int kNoIndex = 4;
      if (index != kNoIndex) in.index = general_register(registers, index) << (sib >> 6);
    }
    const bool has_base = mod != 0 || (base & 7) != 5;
    if (has_base) in.address = general_register(registers, base);
    if (mod == 1) in.address += static_cast<uintptr_t>(static_cast<int8_t>(*next++));
    if (mod == 2 || !has_base) {
      int32_t displacement;
      std::memcpy(&displacement, next, sizeof displacement);
      next += sizeof displacement;
      in.address += static_cast<uintptr_t>(displacement);
    }
    if (!has_base && !in.has_sib) in.address += reinterpret_cast<uintptr_t>(next);
  }
  in.length = next - code;
  return true;
}

enum class Outcome { kDone, kUndefined, kProtection };

bool any(const uint8_t* bytes, int count) {
  for (int i = 0; i < count; ++i) {
    if (bytes[i] != 0) return true;
  }
  return false;
}

Outcome load_config(const uint8_t* config) {
  uint8_t bytes[64];
  std::memcpy(bytes, config, sizeof bytes);
  State loaded{};
  if (bytes[0] > 1) return Outcome::kProtection;
  if (bytes[0] == 1) {
    // Byte 1 is where an interrupted instruction goes on; the emulator's are never interrupted.
    if (bytes[1] != 0) return Outcome::kProtection;
    if (any(bytes + 2, 14) || any(bytes + 32, 16) || any(bytes + 56, 8)) return Outcome::kProtection;
    for (int i = 0; i < kTiles; ++i) {
      const Shape shape{bytes[48 + i], bytes[16 + 2 * i] + 256 * bytes[17 + 2 * i]};
      if (shape.rows > kRows || shape.row_bytes > kRowBytes) return Outcome::kProtection;
      if ((shape.rows == 0) != (shape.row_bytes == 0)) return Outcome::kProtection;
      loaded.shapes[i] = shape;
    }
  }
  state = loaded;
  return Outcome::kDone;
}

bool is_configured(int tile) { return tile < kTiles && state.shapes[tile].rows != 0; }

Outcome zero(int tile) {
  if (!is_configured(tile)) return Outcome::kUndefined;
  state.tiles[tile] = {};
  return Outcome::kDone;
}

Outcome load(int tile, const uint8_t* memory, uintptr_t stride) {
  if (!is_configured(tile) || state.shapes[tile].row_bytes % 4 != 0) return Outcome::kUndefined;
  const Shape shape = state.shapes[tile];
  Tile loaded{};
  for (int row = 0; row < shape.rows; ++row, memory += stride) {
    std::memcpy(loaded.rows[row], memory, static_cast<size_t>(shape.row_bytes));
  }
  state.tiles[tile] = loaded;
  return Outcome::kDone;
}

Outcome store(int tile, uint8_t* memory, uintptr_t stride) {
  if (!is_configured(tile) || state.shapes[tile].row_bytes % 4 != 0) return Outcome::kUndefined;
  const Shape shape = state.shapes[tile];
  for (int row = 0; row < shape.rows; ++row, memory += stride) {
    std::memcpy(memory, state.tiles[tile].rows[row], static_cast<size_t>(shape.row_bytes));
  }
  return Outcome::kDone;
}

/// A and B are the types of the bytes of the two factors. Sums wrap around.
template <class A, class B>
Outcome multiply(int sum, int left, int right) {
  if (sum == left || sum == right || left == right) return Outcome::kUndefined;
  if (!is_configured(sum) || !is_configured(left) || !is_configured(right)) return Outcome::kUndefined;
  const Shape to = state.shapes[sum];
  const Shape a = state.shapes[left];
  const Shape b = state.shapes[right];
  if (to.row_bytes % 4 != 0 || a.row_bytes % 4 != 0) return Outcome::kUndefined;
  if (to.rows != a.rows || to.row_bytes != b.row_bytes || a.row_bytes != 4 * b.rows) return Outcome::kUndefined;
  Tile result{};
  for (int m = 0; m < to.rows; ++m) {
    uint32_t sums[kRowBytes / 4];
    std::memcpy(sums, state.tiles[sum].rows[m], sizeof sums);
    for (int k = 0; k < a.row_bytes; ++k) {
      const auto x = static_cast<A>(state.tiles[left].rows[m][k]);
      for (int n = 0; n < b.row_bytes / 4; ++n) {
        const auto y = static_cast<B>(state.tiles[right].rows[k / 4][4 * n + k % 4]);
        sums[n] += static_cast<uint32_t>(int32_t{x} * int32_t{y});
      }
    }
    std::memcpy(result.rows[m], sums, static_cast<size_t>(to.row_bytes));
  }
  state.tiles[sum] = result;
  return Outcome::kDone;
}

Outcome execute_product(const Instruction& in) {
  if (in.in_memory) return Outcome::kUndefined;
  switch (in.prefix) {
    case kF2:
      return multiply<int8_t, int8_t>(in.reg, in.rm, in.vvvv);
    case kF3:
      return multiply<int8_t, uint8_t>(in.reg, in.rm, in.vvvv);
    case k66:
      return multiply<uint8_t, int8_t>(in.reg, in.rm, in.vvvv);
    default:
      return multiply<uint8_t, uint8_t>(in.reg, in.rm, in.vvvv);
  }
}

Outcome execute_move(const Instruction& in) {
  if (!in.in_memory || !in.has_sib || in.vvvv != 0 || in.prefix == kNone) return Outcome::kUndefined;
  uint8_t* const memory = reinterpret_cast<uint8_t*>(in.address);
  // 66 is TILELOADDT1, which differs in its use of caches alone.
  return in.prefix == kF3 ? store(in.reg, memory, in.index) : load(in.reg, memory, in.index);
}

Outcome execute_config(const Instruction& in) {
  if (in.vvvv != 0) return Outcome::kUndefined;
  if (in.in_memory) {
    if (in.prefix != kNone || in.reg != 0) return Outcome::kUndefined;
    return load_config(reinterpret_cast<const uint8_t*>(in.address + in.index));
  }
  if (in.rm != 0) return Outcome::kUndefined;
  if (in.prefix == kF2) return zero(in.reg);
  if (in.prefix != kNone || in.reg != 0) return Outcome::kUndefined;
  state = {};  // TILERELEASE
  return Outcome::kDone;
}

Outcome execute(const Instruction& in) {
  switch (in.opcode) {
    case 0x49:
      return execute_config(in);
    case 0x4B:
      return execute_move(in);
    case 0x5E:
      return execute_product(in);
    default:
      return Outcome::kUndefined;
  }
}

void end_by(int number) {
  std::signal(number, SIG_DFL);
  static_cast<void>(raise(number));
}

void on_illegal_instruction(int, siginfo_t* info, void* context) {
  greg_t* const registers = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
  const auto* code = reinterpret_cast<const uint8_t*>(registers[REG_RIP]);
  const bool sent_by_a_process = info->si_code <= 0;
  Instruction in{};
  if (sent_by_a_process || !decode(code, registers, in)) return end_by(SIGILL);
  switch (execute(in)) {
    case Outcome::kDone:
      registers[REG_RIP] += in.length;
      return;
    case Outcome::kUndefined:
      return end_by(SIGILL);
    case Outcome::kProtection:
      return end_by(SIGSEGV);
  }
}

}  // namespace

void emulate_amx() {
  struct sigaction action = {};
  action.sa_sigaction = on_illegal_instruction;
  action.sa_flags = SA_SIGINFO;
  sigaction(SIGILL, &action, nullptr);
}
