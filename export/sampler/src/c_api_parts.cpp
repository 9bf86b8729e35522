// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <memory>

#include "guard.h"
#include "hqdit_parts.h"
#include "rng.h"
#include "scheduler.h"
#include "struct_size.h"

struct hqdit_scheduler {
  explicit hqdit_scheduler(size_t count) : scheduler(count) {}

  hqdit::Scheduler scheduler;
  std::vector<hqdit::SolverStep> plan;
};

namespace {

using hqdit::guard;
using hqdit::invalid_argument;
using hqdit::Status;

hqdit_scheduler_options default_options() {
  const hqdit::NoiseSchedule schedule;
  hqdit_scheduler_options options{};
  options.struct_size = sizeof options;
  options.steps = 50;
  options.num_train_timesteps = schedule.num_train_timesteps;
  options.beta_start = schedule.beta_start;
  options.beta_end = schedule.beta_end;
  options.set_alpha_to_one = schedule.set_alpha_to_one;
  return options;
}

}  // namespace

extern "C" {

void hqdit_philox4x32(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]) {
  const auto words = hqdit::philox4x32({counter[0], counter[1], counter[2], counter[3]}, {key[0], key[1]});
  std::copy(words.begin(), words.end(), out);
}

void hqdit_random_normal(uint64_t seed, uint32_t stream, float* out, size_t count) {
  hqdit::fill_normal(seed, stream, out, count);
}

void hqdit_scheduler_options_init(hqdit_scheduler_options* options, size_t struct_size) {
  if (options != nullptr) hqdit::write_struct(default_options(), struct_size, options);
}

hqdit_status hqdit_scheduler_create(const hqdit_scheduler_options* options, size_t count, hqdit_scheduler** scheduler) {
  return guard([&]() -> Status {
    if (scheduler == nullptr || count == 0) return invalid_argument("scheduler is NULL or count is 0");
    *scheduler = nullptr;
    hqdit_scheduler_options o = default_options();
    if (Status status = hqdit::read_struct(options, "options", &o); !status.ok()) return status;
    const hqdit::NoiseSchedule schedule{o.num_train_timesteps, o.beta_start,   o.beta_end,
                                        o.scaled_linear,       o.steps_offset, o.set_alpha_to_one};
    if (Status status = hqdit::check(schedule); !status.ok()) return status;
    auto created = std::make_unique<hqdit_scheduler>(count);
    Status status = hqdit::plan_steps(schedule, o.kind, o.spacing, o.steps, o.eta, &created->plan);
    if (status.ok()) *scheduler = created.release();
    return status;
  });
}

void hqdit_scheduler_destroy(hqdit_scheduler* scheduler) { delete scheduler; }

size_t hqdit_scheduler_timesteps(const hqdit_scheduler* scheduler, int64_t* timesteps, size_t capacity) {
  for (size_t i = 0; i < std::min(capacity, scheduler->plan.size()); ++i) timesteps[i] = scheduler->plan[i].timestep;
  return scheduler->plan.size();
}

hqdit_status hqdit_scheduler_step(hqdit_scheduler* scheduler, size_t index, const float* noise_prediction,
                                  const float* random, float* sample) {
  return guard([&]() -> Status {
    if (scheduler == nullptr || noise_prediction == nullptr || sample == nullptr) {
      return invalid_argument("an argument is NULL");
    }
    if (index >= scheduler->plan.size()) return invalid_argument("there is no step " + std::to_string(index));
    const hqdit::SolverStep& step = scheduler->plan[index];
    if (step.random != 0.0 && random == nullptr) return invalid_argument("eta > 0 needs random numbers");
    scheduler->scheduler.apply(step, noise_prediction, random, sample);
    return {};
  });
}

const float* hqdit_scheduler_clean(const hqdit_scheduler* scheduler) {
  return scheduler == nullptr ? nullptr : scheduler->scheduler.clean();
}

}  // extern "C"
