// SPDX-License-Identifier: Apache-2.0
// Five threads on two pipelines: they draw, cancel, ask again from inside, close and open, under the one lock that
// hqdit.h asks for. For ThreadSanitizer. argv: bundle, rounds. Prints how often what happened.
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <thread>
#include <vector>

#include "hqdit.h"

namespace {

struct Slot {
  std::shared_mutex in_use;  // shared to call, alone to close
  hqdit_pipeline* pipeline = nullptr;
};

std::string bundle;
Slot slots[2];
std::atomic<int> drawn{0}, cancelled{0}, busy{0}, reopened{0};

void expect(bool so, const char* what) {
  if (so) return;
  std::fprintf(stderr, "%s: %s\n", what, hqdit_last_error());
  std::exit(1);
}

void open(Slot* slot, int32_t threads) {
  hqdit_open_options options;
  hqdit_open_options_init(&options, sizeof options);
  options.threads = threads;
  expect(hqdit_open(bundle.c_str(), &options, &slot->pipeline) == HQDIT_OK, "hqdit_open");
}

struct Caller {
  Slot* slot;
  int stop_after;  // reports; none if negative
};

/// What is asked of the same pipeline from inside is refused, closing it, too.
bool report(const hqdit_progress*, void* data) {
  auto* caller = static_cast<Caller*>(data);
  expect(hqdit_close(caller->slot->pipeline) == HQDIT_BUSY, "close from inside");
  return caller->stop_after-- != 0;
}

/// False if another thread is at it.
bool draw(Slot* slot, uint64_t seed, int stop_after) {
  const std::shared_lock<std::shared_mutex> lock(slot->in_use);
  Caller caller{slot, stop_after};
  hqdit_request request;
  expect(hqdit_request_init(slot->pipeline, &request, sizeof request) == HQDIT_OK, "hqdit_request_init");
  request.label = 1;
  request.seeds = &seed;
  request.seed_count = 1;
  request.steps = 3;
  request.progress = report;
  request.user_data = &caller;
  std::vector<uint8_t> pixels(16 * 16 * 3);
  hqdit_result result;
  hqdit_result_init(&result, sizeof result);
  result.rgb = pixels.data();
  result.rgb_bytes = pixels.size();
  const hqdit_status status = hqdit_generate(slot->pipeline, &request, &result);
  expect(status == HQDIT_OK || status == HQDIT_CANCELLED || status == HQDIT_BUSY, "hqdit_generate");
  ++(status == HQDIT_OK ? drawn : status == HQDIT_BUSY ? busy : cancelled);
  return status != HQDIT_BUSY;
}

void close_and_open(Slot* slot, int32_t threads) {
  const std::unique_lock<std::shared_mutex> lock(slot->in_use);
  expect(hqdit_close(slot->pipeline) == HQDIT_OK, "hqdit_close");
  open(slot, threads);
  ++reopened;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  bundle = argv[1];
  const int rounds = std::atoi(argv[2]);
  for (Slot& slot : slots) open(&slot, 1);
  std::vector<std::thread> threads;
  for (int number = 0; number < 4; ++number) {
    threads.emplace_back([number, rounds] {
      for (int i = 0; i < rounds; ++i) {
        while (!draw(&slots[(i + number) % 2], static_cast<uint64_t>(i), number < 2 ? -1 : i % 4))
          std::this_thread::yield();
      }
    });
  }
  threads.emplace_back([rounds] {
    for (int i = 0; i < rounds / 4; ++i) close_and_open(&slots[i % 2], 1 + i % 3 / 2);
  });
  for (std::thread& thread : threads) thread.join();
  for (Slot& slot : slots) expect(hqdit_close(slot.pipeline) == HQDIT_OK, "hqdit_close");
  std::printf("%d %d %d %d\n", drawn.load(), cancelled.load(), busy.load(), reopened.load());
  return 0;
}
