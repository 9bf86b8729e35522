// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <vector>

#include "hqdit.h"
#include "manifest.h"
#include "model.h"
#include "scheduler.h"
#include "status.h"

namespace hqdit {

/// A bundle that is ready to draw: the loop from noise to pixels. One thread at a time.
class Pipeline {
 public:
  static Status open(const BundleFiles& files, const hqdit_open_options& options, std::unique_ptr<Pipeline>* pipeline);

  const Manifest& manifest() const { return manifest_; }
  bool decodes_tiled() const { return decodes_tiled_; }
  Status generate(const hqdit_request& request, hqdit_result* result);
  Status denoise(bool guided, const float* latents, double time, int32_t label, float* out);
  Status decode(const float* latents, float* image);

 private:
  using Clock = std::chrono::steady_clock;

  explicit Pipeline(Manifest manifest) : manifest_(std::move(manifest)), scheduler_(0) {}
  void allocate();
  Status check(const hqdit_request& request, const hqdit_result& result) const;
  Status check_label(int32_t label) const;
  static bool is_guided(const hqdit_request& request, double noise_level);
  Status predict(const hqdit_request& request, const SolverStep& step, bool guided);
  Status draw(const hqdit_request& request, size_t index, Clock::time_point start, hqdit_result* result);
  Status step(const hqdit_request& request, size_t image, size_t index, bool* guided);
  bool preview(const hqdit_request& request, size_t step, hqdit_progress* progress);

  Manifest manifest_;
  bool decodes_tiled_ = false;
  std::unique_ptr<Model> model_;
  Scheduler scheduler_;
  std::vector<SolverStep> plan_;
  std::vector<float> latents_, prediction_, random_, image_;
  std::vector<uint8_t> preview_;
};

}  // namespace hqdit
