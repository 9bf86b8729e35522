// SPDX-License-Identifier: Apache-2.0
// units_driver SLOTS UNITS threads|turns FIRSTS MOST: prints "slot unit" for every unit that take_units gives out, up
// to MOST at a time, or behind FIRSTS first units take_units_in_order; fails if one is given out before the first units
// are done. The slots run in threads of their own, or in turn, each until nothing is left.
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>
#include <vector>

#include "gemm/units.h"

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
  if (count != 6) return 2;
  const int64_t slots = std::atoll(arguments[1]), units = std::atoll(arguments[2]);
  const bool threads = std::strcmp(arguments[3], "threads") == 0;
  const hqdit::ParallelFor parallel{threads ? run_threads : run_in_turn, nullptr, static_cast<int32_t>(slots)};
  std::vector<std::vector<int64_t>> taken(static_cast<size_t>(slots));
  const auto take = [&](int64_t unit, int64_t slot) { taken[static_cast<size_t>(slot)].push_back(unit); };
  const int64_t firsts = std::atoll(arguments[4]), most = std::atoll(arguments[5]);
  if (firsts > 0) {
    std::atomic<int64_t> done{0};
    hqdit::take_units_in_order(
        parallel, slots, firsts,
        [&](int64_t, int64_t) {
          std::this_thread::sleep_for(std::chrono::microseconds(50));
          done.fetch_add(1);
        },
        units,
        [&](int64_t unit, int64_t slot) {
          if (done.load() != firsts) std::_Exit(3);
          take(unit, slot);
        });
    if (done.load() != firsts) return 4;
  } else {
    hqdit::take_units(parallel, slots, units, [&](int64_t slot, const auto& next) {
      for (hqdit::Units some = next(most); some.count() > 0; some = next(most)) {
        if (some.count() > most) std::_Exit(5);
        for (int64_t unit = some.first; unit < some.last; ++unit) take(unit, slot);
      }
    });
  }
  for (size_t slot = 0; slot < taken.size(); ++slot) {
    for (const int64_t unit : taken[slot]) std::printf("%zu %lld\n", slot, static_cast<long long>(unit));
  }
  return 0;
}
