// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <memory>

#include "ed25519.h"
#include "guard.h"
#include "hqdit_parts.h"
#include "rng.h"
#include "scheduler.h"
#include "struct_size.h"

struct hqdit_scheduler {
  explicit hqdit_scheduler(size_t count) : scheduler(count) {}

  hqdit::Scheduler scheduler;
  hqdit::Process process;
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
  options.time_at_noise = options.shift = options.start = 1;
  options.solver_order = 2;
  options.lower_order_final = true;
  return options;
}

hqdit::Process process_of(const hqdit_scheduler_options& o) {
  hqdit::Process process;
  process.is_flow = o.path != HQDIT_PATH_VARIANCE_PRESERVING;
  process.schedule = {o.num_train_timesteps, o.beta_start,       o.beta_end, o.scaled_linear,
                      o.steps_offset,        o.set_alpha_to_one, {}};
  if (o.alphas_cumprod != nullptr && o.num_train_timesteps > 0) {
    process.schedule.table.assign(o.alphas_cumprod, o.alphas_cumprod + o.num_train_timesteps);
  }
  process.flow = {o.path == HQDIT_PATH_GVP_FLOW, o.time_at_noise, o.time_at_data, o.shift, o.start, o.end};
  process.prediction = o.prediction;
  process.clip_sample_range = o.clip_sample_range;
  process.multistep = {o.solver_order, o.solver_heun, o.lower_order_final, o.euler_at_final, o.ends_at_sigma_min};
  return process;
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
    if (o.path < HQDIT_PATH_VARIANCE_PRESERVING || o.path > HQDIT_PATH_GVP_FLOW) {
      return invalid_argument("unknown path " + std::to_string(o.path));
    }
    auto created = std::make_unique<hqdit_scheduler>(count);
    created->process = process_of(o);
    if (Status status = hqdit::check(created->process); !status.ok()) return status;
    Status status = hqdit::plan_steps(created->process, o.kind, o.spacing, o.steps, o.eta, &created->plan);
    if (status.ok()) *scheduler = created.release();
    return status;
  });
}

void hqdit_scheduler_destroy(hqdit_scheduler* scheduler) { delete scheduler; }

size_t hqdit_scheduler_timesteps(const hqdit_scheduler* scheduler, int64_t* timesteps, size_t capacity) {
  for (size_t i = 0; i < std::min(capacity, scheduler->plan.size()); ++i) {
    timesteps[i] = scheduler->plan[i].timestep(scheduler->process);
  }
  return scheduler->plan.size();
}

size_t hqdit_scheduler_times(const hqdit_scheduler* scheduler, double* times, double* levels, size_t capacity) {
  for (size_t i = 0; i < std::min(capacity, scheduler->plan.size()); ++i) {
    if (times != nullptr) times[i] = scheduler->plan[i].time;
    if (levels != nullptr) levels[i] = scheduler->plan[i].level;
  }
  return scheduler->plan.size();
}

hqdit_status hqdit_scheduler_step(hqdit_scheduler* scheduler, size_t index, const float* prediction,
                                  const float* random, float* sample) {
  return guard([&]() -> Status {
    if (scheduler == nullptr || prediction == nullptr || sample == nullptr) {
      return invalid_argument("an argument is NULL");
    }
    if (index >= scheduler->plan.size()) return invalid_argument("there is no step " + std::to_string(index));
    const hqdit::SolverStep& step = scheduler->plan[index];
    if (step.random != 0.0 && random == nullptr) return invalid_argument("eta > 0 needs random numbers");
    scheduler->scheduler.apply(step, prediction, random, sample);
    return {};
  });
}

const float* hqdit_scheduler_clean(const hqdit_scheduler* scheduler) {
  return scheduler == nullptr ? nullptr : scheduler->scheduler.clean();
}

bool hqdit_verify_signature(const uint8_t* public_key, const uint8_t* signature, const void* message,
                            size_t message_bytes) {
  return hqdit::is_public_key(public_key) && hqdit::verify_signature(public_key, signature, message, message_bytes);
}

}  // extern "C"
