// SPDX-License-Identifier: Apache-2.0
#include "worker_pool.h"

#include <pthread.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <memory>
#include <mutex>
#include <new>
#include <thread>

#include "hqdit/most_threads.h"
#include "hqdit/rest.h"

namespace hqdit {
namespace {

// Longer than what a step does on one thread between two calls.
constexpr std::chrono::microseconds kLook{500};

struct Job {
  void (*fn)(void* arg, int64_t begin, int64_t end);
  void* arg;
};

/// One thread, which takes the job of its index when that is offered.
class Worker {
 public:
  explicit Worker(int64_t index) : index_(index), thread_([this] { live(); }) {}

  void offer(const Job& job) {
    job_ = job;
    state_.store(State::kOffered);
    if (!asleep_.load()) return;
    const std::lock_guard<std::mutex> lock(mutex_);
    woken_.notify_one();
  }

  /// True if the thread has not begun, and will not.
  bool withdraw() {
    State expected = State::kOffered;
    return state_.compare_exchange_strong(expected, State::kIdle);
  }

  void wait() const {
    for (int64_t turn = 0; state_.load(std::memory_order_acquire) == State::kRunning; ++turn) rest_a_little(turn);
  }

 private:
  enum class State : uint8_t { kIdle, kOffered, kRunning };

  void live() {
    for (;;) {
      await_offer();
      State expected = State::kOffered;
      if (!state_.compare_exchange_strong(expected, State::kRunning)) continue;  // withdrawn
      job_.fn(job_.arg, index_, index_ + 1);
      state_.store(State::kIdle, std::memory_order_release);
    }
  }

  void await_offer() {
    const auto until = std::chrono::steady_clock::now() + kLook;
    for (int64_t turn = 0; state_.load(std::memory_order_relaxed) == State::kIdle; ++turn) {
      rest_a_little(turn);
      constexpr int64_t kTurnsBetweenLooks = 64;
      if (turn % kTurnsBetweenLooks == 0 && std::chrono::steady_clock::now() > until) return sleep();
    }
  }

  void sleep() {
    std::unique_lock<std::mutex> lock(mutex_);
    // In one order with offer(): either it sees that the thread sleeps, or the thread sees the offer.
    asleep_.store(true);
    woken_.wait(lock, [this] { return state_.load() != State::kIdle; });
    asleep_.store(false);
  }

  const int64_t index_;
  Job job_{};
  alignas(64) std::atomic<State> state_{State::kIdle};
  std::atomic<bool> asleep_{false};
  std::mutex mutex_;
  std::condition_variable woken_;
  std::thread thread_;  // the last, since it uses the others
};

// A forked child has the objects of workers and none of their threads.
std::atomic<bool> in_child{false};

class Workers {
 public:
  // By the system's own notice: to ask it for the process's number takes as long as to hand over a job.
  Workers() : alone_(pthread_atfork(nullptr, nullptr, [] { in_child.store(true); }) != 0) {}

  bool run(int64_t count, const Job& job) {
    const std::unique_lock<std::mutex> mine(mutex_, std::try_to_lock);
    if (!mine) return false;
    const int64_t helped = alone_ || in_child.load() ? 1 : started(std::min<int64_t>(count, kMostThreads));
    for (int64_t i = 1; i < helped; ++i) workers_[static_cast<size_t>(i)]->offer(job);
    job.fn(job.arg, 0, 1);
    for (int64_t i = helped; i < count; ++i) job.fn(job.arg, i, i + 1);
    for (int64_t i = 1; i < helped; ++i) {
      if (workers_[static_cast<size_t>(i)]->withdraw()) job.fn(job.arg, i, i + 1);
    }
    for (int64_t i = 1; i < helped; ++i) workers_[static_cast<size_t>(i)]->wait();
    return true;
  }

 private:
  /// Up to `count` threads, with the calling one.
  int64_t started(int64_t count) {
    for (; started_ < count; ++started_) {
      try {
        workers_[static_cast<size_t>(started_)] = std::make_unique<Worker>(started_);
      } catch (const std::exception&) {
        break;  // of the system, which has no thread or no memory left
      }
    }
    return std::min(count, started_);
  }

  const bool alone_;  // the system has no memory for the notice
  std::mutex mutex_;
  int64_t started_ = 1;
  std::array<std::unique_ptr<Worker>, kMostThreads> workers_;
};

}  // namespace

bool run_on_workers(int64_t count, void (*fn)(void* arg, int64_t begin, int64_t end), void* arg) {
  // Never destroyed: a process that ends waits for no thread. Not on the heap, which may have no room.
  alignas(Workers) static uint8_t memory[sizeof(Workers)];
  static Workers& workers = *new (memory) Workers;
  return workers.run(count, {fn, arg});
}

}  // namespace hqdit
