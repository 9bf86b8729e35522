// SPDX-License-Identifier: Apache-2.0
// units_driver SLOTS UNITS threads|turns: prints "slot unit" for every unit that take_units gives out. The slots run in
// threads of their own, or in turn, each until nothing is left.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>
#include <vector>

#include "units.h"

namespace {

using Work = void (*)(void* arg, int64_t begin, int64_t end);

void run_threads(void*, int64_t count, Work work, void* arg) {
  std::vector<std::thread> threads;
  for (int64_t i = 0; i < count; ++i) threads.emplace_back(work, arg, i, i + 1);
  for (std::thread& thread : threads) thread.join();
}

void run_in_turn(void*, int64_t count, Work work, void* arg) { work(arg, 0, count); }

}  // namespace

int main(int count, char** arguments) {
  if (count != 4) return 2;
  const int64_t slots = std::atoll(arguments[1]), units = std::atoll(arguments[2]);
  const bool threads = std::strcmp(arguments[3], "threads") == 0;
  const hqdit::ParallelFor parallel{threads ? run_threads : run_in_turn, nullptr, static_cast<int32_t>(slots)};
  std::vector<std::vector<int64_t>> taken(static_cast<size_t>(slots));
  hqdit::take_units(parallel, slots, units, [&](int64_t slot, const auto& next) {
    for (int64_t unit = next(); unit >= 0; unit = next()) taken[static_cast<size_t>(slot)].push_back(unit);
  });
  for (size_t slot = 0; slot < taken.size(); ++slot) {
    for (const int64_t unit : taken[slot]) std::printf("%zu %lld\n", slot, static_cast<long long>(unit));
  }
  return 0;
}
