// SPDX-License-Identifier: Apache-2.0
// AMX's instructions as functions. Each is a statement that may change memory: GCC 12's own intrinsics do not say that
// they read it.
#pragma once

#include <cstdint>

struct alignas(64) TileConfig {
  uint8_t bytes[64] = {};

  TileConfig& palette(int id) {
    bytes[0] = static_cast<uint8_t>(id);
    return *this;
  }
  TileConfig& tile(int index, int rows, int row_bytes) {
    bytes[16 + 2 * index] = static_cast<uint8_t>(row_bytes);
    bytes[48 + index] = static_cast<uint8_t>(rows);
    return *this;
  }
  void load() const { asm volatile("ldtilecfg %0" ::"m"(bytes) : "memory"); }
};

inline void release_tiles() { asm volatile("tilerelease" ::: "memory"); }

template <int Tile>
void zero_tile() {
  asm volatile("tilezero %%tmm%c0" ::"i"(Tile) : "memory");
}

template <int Tile>
void load_tile(const void* memory, int64_t stride) {
  asm volatile("tileloadd (%1,%2), %%tmm%c0" ::"i"(Tile), "r"(memory), "r"(stride) : "memory");
}

template <int Tile>
void stream_tile(const void* memory, int64_t stride) {
  asm volatile("tileloaddt1 (%1,%2), %%tmm%c0" ::"i"(Tile), "r"(memory), "r"(stride) : "memory");
}

template <int Tile>
void store_tile(void* memory, int64_t stride) {
  asm volatile("tilestored %%tmm%c0, (%1,%2)" ::"i"(Tile), "r"(memory), "r"(stride) : "memory");
}

#define HQDIT_TILE_PRODUCT(name)                                                                      \
  template <int Sum, int Left, int Right>                                                             \
  void name() {                                                                                       \
    asm volatile(#name " %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(Sum), "i"(Left), "i"(Right) : "memory"); \
  }
HQDIT_TILE_PRODUCT(tdpbssd)
HQDIT_TILE_PRODUCT(tdpbsud)
HQDIT_TILE_PRODUCT(tdpbusd)
HQDIT_TILE_PRODUCT(tdpbuud)
#undef HQDIT_TILE_PRODUCT
