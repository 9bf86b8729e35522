// SPDX-License-Identifier: Apache-2.0
// Units of work by number. Each thread begins with a run of neighbours of its own, the same in every call: what it
// writes lies together, and what it wrote last time is still in its cache. One that is done, a fast core's, takes over
// from the far ends of the other runs.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>

#include "hqdit/fp4_linear.h"
#include "hqdit/most_threads.h"
#include "hqdit/rest.h"

namespace hqdit {

/// Units [first, last) that nobody has taken yet, both in one word: its owner takes from the front, others from the
/// end.
class alignas(64) UnitRun {
 public:
  void set(int64_t first, int64_t last) { run_.store(pack(first, last), std::memory_order_relaxed); }

  /// -1 if none is left.
  int64_t take_first() {
    return take([](int64_t& first, int64_t&) { return first++; });
  }
  int64_t take_last() {
    return take([](int64_t&, int64_t& last) { return --last; });
  }

 private:
  template <class Choose>
  int64_t take(const Choose& choose) {
    for (uint64_t run = run_.load(std::memory_order_relaxed);;) {
      int64_t first = static_cast<int64_t>(run >> 32), last = static_cast<int64_t>(run & 0xffffffffu);
      if (first >= last) return -1;
      const int64_t unit = choose(first, last);
      if (run_.compare_exchange_weak(run, pack(first, last), std::memory_order_relaxed)) return unit;
    }
  }

  static uint64_t pack(int64_t first, int64_t last) {
    return static_cast<uint64_t>(first) << 32 | static_cast<uint64_t>(last);
  }

  std::atomic<uint64_t> run_;
};

/// The units [0, units) as runs of `slots` threads.
struct UnitRuns {
  int64_t slots;
  UnitRun runs[kMostThreads];

  UnitRuns(int64_t units, int64_t threads) : slots(threads) {
    for (int64_t slot = 0; slot < slots; ++slot) {
      runs[slot].set(slot * units / slots, (slot + 1) * units / slots);
    }
  }

  /// -1 if none is left.
  int64_t next(int64_t slot) {
    int64_t unit = runs[slot].take_first();
    for (int64_t i = 1; unit < 0 && i < slots; ++i) unit = runs[(slot + i) % slots].take_last();
    return unit;
  }
};

/// Calls work(slot) for each of `slots` slots, on as many threads as the pool gives.
template <typename Work>
void run_slots(const ParallelFor& parallel, int64_t slots, Work& work) {
  const auto run = [](void* arg, int64_t begin, int64_t end) {
    for (int64_t slot = begin; slot < end; ++slot) (*static_cast<Work*>(arg))(slot);
  };
  if (slots == 1) {
    work(0);
  } else {
    parallel.run(parallel.context, slots, run, &work);
  }
}

/// Calls worker(slot, next) once on each of up to `slots` threads; next() gives the next unit, below 0 when all are
/// taken. units: below 2^32.
template <typename Worker>
void take_units(const ParallelFor& parallel, int64_t slots, int64_t units, const Worker& worker) {
  if (units < 1) return;
  UnitRuns runs(units, std::min<int64_t>({slots, units, kMostThreads}));
  auto work = [&](int64_t slot) { worker(slot, [&runs, slot] { return runs.next(slot); }); };
  run_slots(parallel, runs.slots, work);
}

/// Calls first(unit, slot) for `firsts` units and, when all of them are done, second(unit, slot) for `seconds`, in one
/// call of the pool.
///
/// No deadlock, even if the pool runs some slots only after others have returned: a slot waits only when no first unit
/// is left to take. Each of them is then done or held by a slot that is running, since a slot that has not started
/// takes none, and the others take those of its run. `first` waits for nothing, so every running slot reaches the end
/// of its loop and subtracts its units, and `missing` becomes 0. Nobody waits for a slot that has not started.
template <typename First, typename Second>
void take_units_in_order(const ParallelFor& parallel, int64_t slots, int64_t firsts, const First& first,
                         int64_t seconds, const Second& second) {
  const int64_t threads = std::min<int64_t>({slots, std::max(firsts, seconds), kMostThreads});
  if (threads < 1) return;
  UnitRuns first_runs(firsts, threads);
  UnitRuns second_runs(seconds, threads);
  alignas(64) std::atomic<int64_t> missing{firsts};
  auto work = [&](int64_t slot) {
    int64_t done = 0;
    for (int64_t unit = first_runs.next(slot); unit >= 0; unit = first_runs.next(slot), ++done) first(unit, slot);
    if (done > 0) missing.fetch_sub(done, std::memory_order_acq_rel);
    for (int64_t turn = 0; missing.load(std::memory_order_acquire) > 0; ++turn) rest_a_little(turn);
    for (int64_t unit = second_runs.next(slot); unit >= 0; unit = second_runs.next(slot)) second(unit, slot);
  };
  run_slots(parallel, threads, work);
}

}  // namespace hqdit
