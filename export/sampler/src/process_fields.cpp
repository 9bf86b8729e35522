// SPDX-License-Identifier: Apache-2.0
#include "process_fields.h"

namespace hqdit {
namespace {

constexpr int64_t kMaxTrainTimesteps = 1000000;
constexpr double kMaxTime = 1e6;

hqdit_timestep_spacing read_spacing(JsonFields& fields, const char* key) {
  return static_cast<hqdit_timestep_spacing>(fields.choice(key, {"leading", "trailing", "linspace"}));
}

void read_betas(JsonFields fields, bool may_have_table, NoiseSchedule* schedule) {
  schedule->num_train_timesteps = static_cast<int32_t>(fields.integer("num_train_timesteps", 1, kMaxTrainTimesteps));
  schedule->beta_start = fields.number("beta_start", 0, 1);
  schedule->beta_end = fields.number("beta_end", 0, 1);
  const size_t kind = may_have_table ? fields.choice("beta_schedule", {"linear", "scaled_linear", "tabulated"})
                                     : fields.choice("beta_schedule", {"linear", "scaled_linear"});
  schedule->scaled_linear = kind == 1;
  if (kind == 2) {
    schedule->table = fields.numbers("alphas_cumprod", static_cast<size_t>(schedule->num_train_timesteps), 0, 1);
  }
  schedule->steps_offset = static_cast<int32_t>(fields.integer("steps_offset", 0, kMaxTrainTimesteps));
  schedule->set_alpha_to_one = fields.boolean("set_alpha_to_one");
}

void read_flow(JsonFields fields, Process* process) {
  process->schedule.num_train_timesteps =
      static_cast<int32_t>(fields.integer("num_train_timesteps", 1, kMaxTrainTimesteps));
  process->flow.gvp = fields.choice("interpolation", {"linear", "gvp"}) == 1;
  process->flow.time_at_noise = fields.number("time_at_noise", -kMaxTime, kMaxTime);
  process->flow.time_at_data = fields.number("time_at_data", -kMaxTime, kMaxTime);
  process->flow.shift = fields.number("shift", 1e-3, 1e3);
  process->flow.start = fields.number("start", 0, 1);
  process->flow.end = fields.number("end", 0, 1);
}

void read_multistep(JsonFields fields, MultistepOptions* options) {
  options->order = static_cast<int32_t>(fields.integer("solver_order", 1, 2));
  options->heun = fields.choice("solver_type", {"midpoint", "heun"}) == 1;
  options->lower_order_final = fields.boolean("lower_order_final");
  options->euler_at_final = fields.boolean("euler_at_final");
  options->ends_at_sigma_min = fields.choice("final_sigmas_type", {"zero", "sigma_min"}) == 1;
}

}  // namespace

void read_process(JsonFields fields, int32_t channels, Manifest* manifest) {
  Process& process = manifest->process;
  JsonFields path = fields.object("path");
  process.is_flow = path.choice("kind", {"variance_preserving", "flow"}) == 1;
  if (process.is_flow) {
    read_flow(path, &process);
  } else {
    read_betas(path, true, &process.schedule);
  }
  // The order is that of hqdit_prediction.
  process.prediction =
      static_cast<int32_t>(fields.choice("prediction", {"epsilon", "v_prediction", "velocity", "sample", "score"}));
  if (fields.has("clip_sample_range")) process.clip_sample_range = fields.number("clip_sample_range", 1e-6, 1e6);
  read_multistep(fields.object("multistep"), &process.multistep);
  manifest->spacing = read_spacing(fields, "spacing");
  manifest->guided_channels = static_cast<int32_t>(fields.integer("guided_channels", 1, channels));
}

void read_schedule(JsonFields scheduler, JsonFields guidance, int32_t channels, Manifest* manifest) {
  read_betas(scheduler, false, &manifest->process.schedule);
  manifest->spacing = read_spacing(scheduler, "timestep_spacing");
  scheduler.choice("prediction_type", {"epsilon"});
  manifest->guided_channels = static_cast<int32_t>(guidance.integer("channels", 1, channels));
}

}  // namespace hqdit
