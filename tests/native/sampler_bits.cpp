// SPDX-License-Identifier: Apache-2.0
// Writes random numbers and sampling trajectories to stdout as raw float32, to compare machines bit by bit.
#include <cstdio>
#include <vector>

#include "rng.h"
#include "scheduler.h"

namespace {

constexpr size_t kCount = 4099;  // no multiple of four: the last block is cut

void write(const std::vector<float>& values) { std::fwrite(values.data(), sizeof(float), values.size(), stdout); }

bool write_trajectory(const hqdit::Process& process, int32_t kind, int32_t spacing, int32_t steps, double eta) {
  std::vector<hqdit::SolverStep> plan;
  if (!hqdit::plan_steps(process, kind, spacing, steps, eta, &plan).ok()) return false;
  std::vector<float> sample(kCount), noise(kCount), random(kCount);
  hqdit::Scheduler scheduler(kCount);
  hqdit::fill_normal(7, 0, sample.data(), kCount);
  for (size_t i = 0; i < plan.size(); ++i) {
    for (size_t j = 0; j < kCount; ++j) noise[j] = 0.75f * sample[j] - 0.125f * sample[(j + 1) % kCount];
    hqdit::fill_normal(7, static_cast<uint32_t>(i) + 1, random.data(), kCount);
    scheduler.apply(plan[i], noise.data(), random.data(), sample.data());
    write(sample);
  }
  return true;
}

}  // namespace

int main() {
  const uint64_t seeds[] = {0, 7, 0xffffffffffffffffULL};
  const uint32_t streams[] = {0, 1, 0xffffffffu};
  std::vector<float> values(kCount);
  for (const uint64_t seed : seeds) {
    for (const uint32_t stream : streams) {
      hqdit::fill_normal(seed, stream, values.data(), kCount);
      write(values);
    }
  }
  hqdit::Process betas, flow;
  flow.is_flow = true;
  flow.flow.gvp = true;
  flow.flow.shift = 3;
  flow.prediction = HQDIT_PREDICTION_VELOCITY;
  bool done = write_trajectory(betas, HQDIT_SCHEDULER_DDIM, HQDIT_SPACING_LEADING, 20, 0.5);
  done = done && write_trajectory(betas, HQDIT_SCHEDULER_DPM_SOLVER, HQDIT_SPACING_TRAILING, 20, 0.0);
  done = done && write_trajectory(flow, HQDIT_SCHEDULER_DPM_SOLVER, HQDIT_SPACING_LEADING, 20, 0.0);
  return done && write_trajectory(flow, HQDIT_SCHEDULER_HEUN, HQDIT_SPACING_TRAILING, 20, 0.0) ? 0 : 1;
}
