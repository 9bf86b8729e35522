// SPDX-License-Identifier: Apache-2.0
// worker_pool_driver COUNT CALLS MICROSECONDS CALLERS: CALLERS threads each call run_on_workers CALLS times, as long
// apart. In each call that was taken, every index below COUNT must have been done once by the time it returns. Then a
// forked child does the same. Prints how many calls were taken, and on how many threads.
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

#include "worker_pool.h"

namespace {

std::mutex mutex;
std::set<std::thread::id> threads;

/// Plain integers: a race on them is one that a sanitizer for threads sees.
struct Call {
  std::vector<int> done;
};

void work(void* arg, int64_t begin, int64_t end) {
  for (int64_t i = begin; i < end; ++i) ++static_cast<Call*>(arg)->done[static_cast<size_t>(i)];
  const std::lock_guard<std::mutex> lock(mutex);
  threads.insert(std::this_thread::get_id());
}

int64_t call_often(int64_t count, int64_t calls, int64_t microseconds) {
  int64_t taken = 0;
  for (int64_t i = 0; i < calls; ++i) {
    Call call{std::vector<int>(static_cast<size_t>(count), 0)};
    const bool ran = hqdit::run_on_workers(count, work, &call);
    for (const int done : call.done) {
      if (done != (ran ? 1 : 0)) std::_Exit(3);
    }
    taken += ran;
    if (microseconds > 0) std::this_thread::sleep_for(std::chrono::microseconds(microseconds));
  }
  return taken;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5) return 2;
  const int64_t count = std::atoll(argv[1]), calls = std::atoll(argv[2]), microseconds = std::atoll(argv[3]);
  std::atomic<int64_t> taken{0};
  std::vector<std::thread> callers;
  for (int64_t i = 0; i < std::atoll(argv[4]); ++i) {
    callers.emplace_back([&] { taken += call_often(count, calls, microseconds); });
  }
  for (std::thread& caller : callers) caller.join();
  const size_t used = threads.size();
  const pid_t child = fork();
  if (child == 0) std::_Exit(call_often(count, 10, 0) == 10 ? 0 : 4);
  int status = 0;
  if (waitpid(child, &status, 0) != child || status != 0) return 5;
  std::printf("%lld %zu\n", static_cast<long long>(taken.load()), used);
  return 0;
}
