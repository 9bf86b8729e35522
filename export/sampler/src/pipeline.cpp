// SPDX-License-Identifier: Apache-2.0
#include "pipeline.h"

#include <algorithm>
#include <cmath>

#include "files.h"
#include "picture.h"
#include "process_memory.h"
#include "rng.h"

namespace hqdit {
namespace {

constexpr const char* kNoNullClass = "this model has no null class to guide away from";
constexpr uint32_t kInitialNoiseStream = 0;  // stream 1 + i is the fresh noise of step i

double milliseconds(std::chrono::steady_clock::duration duration) {
  return std::chrono::duration<double, std::milli>(duration).count();
}

bool all_finite(const float* values, size_t count) {
  return std::all_of(values, values + count, [](float x) { return std::isfinite(x); });
}

/// Of Pipeline::allocate().
uint64_t buffer_bytes(const Manifest& manifest) {
  const uint64_t floats = 5 * manifest.latent_count() + 3 * manifest.image_plane();
  return floats * sizeof(float) + (manifest.has_preview ? 3 * manifest.latent_plane() : 0);
}

}  // namespace

void Pipeline::allocate() {
  const size_t count = manifest_.latent_count();
  scheduler_ = Scheduler(count);
  for (std::vector<float>* buffer : {&latents_, &random_}) buffer->resize(count);
  prediction_.resize(2 * count);
  image_.resize(3 * manifest_.image_plane());
  if (manifest_.has_preview) preview_.resize(3 * manifest_.latent_plane());
}

Status Pipeline::open(const BundleFiles& files, const hqdit_open_options& options,
                      std::unique_ptr<Pipeline>* pipeline) {
  const TrustedKeys keys{options.public_keys, options.public_key_count};
  Manifest manifest;
  if (Status status = load_manifest(files, keys, &manifest); !status.ok()) return status;
  const uint64_t own = buffer_bytes(manifest);
  const uint64_t need = std::max({manifest.memory.peak_bytes, manifest.memory.arena_bytes, own});
  const uint64_t limit = options.memory_limit_bytes;
  const bool has_tiles = manifest.has_decoder_tiles && manifest.memory.tiled_peak_bytes != 0;
  const uint64_t tiled_need = std::max(manifest.memory.tiled_peak_bytes, own);
  const bool tiled = limit != 0 && need > limit && has_tiles;
  if (limit != 0 && (tiled ? tiled_need : need) > limit) {
    return {HQDIT_MEMORY_LIMIT, files.shown() + ": needs about " + std::to_string(tiled ? tiled_need : need) +
                                    " bytes of memory" + (tiled ? " with its pictures decoded in tiles" : "") +
                                    ", the limit is " + std::to_string(limit)};
  }
  auto opened = std::unique_ptr<Pipeline>(new Pipeline(std::move(manifest)));
  opened->decodes_tiled_ = tiled;
  LoadOptions load{static_cast<hqdit_load_mode>(options.load_mode), options.verify_sha256, options.threads, tiled};
  load.most_activation_bytes = opened->manifest_.memory.arena_bytes;
  load.trust_programs = options.trust_programs != 0;
  if (limit != 0) load.memory_limit_bytes = std::max<uint64_t>(limit - own, 1);
  // First, since it compares the shapes: what a manifest of a kilobyte says would take gigabytes here.
  if (Status status = open_model(files, opened->manifest_, load, &opened->model_); !status.ok()) return status;
  opened->allocate();
  *pipeline = std::move(opened);
  return {};
}

Status Pipeline::check_label(int32_t label) const {
  if (label >= 0 && (label < manifest_.num_classes || label == manifest_.null_label)) return {};
  const std::string null =
      manifest_.has_null_class() ? " or the null label " + std::to_string(manifest_.null_label) : "";
  return invalid_argument("label must be in 0 .. " + std::to_string(manifest_.num_classes - 1) + null + ", not " +
                          std::to_string(label));
}

Status Pipeline::check(const hqdit_request& request, const hqdit_result& result) const {
  if (Status status = check_label(request.label); !status.ok()) return status;
  const size_t images = request.seed_count, latents = manifest_.latent_count();
  if (request.seeds == nullptr || images == 0 || images > 4096) {
    return invalid_argument("seeds must point to seed_count numbers, 1 .. 4096 of them");
  }
  const size_t bytes = images * manifest_.image_plane() * 3;
  if (result.rgb == nullptr || result.rgb_bytes < bytes) {
    return invalid_argument("result.rgb must hold " + std::to_string(bytes) + " bytes");
  }
  if (result.latents != nullptr && result.latents_count < images * latents) {
    return invalid_argument("result.latents must hold " + std::to_string(images * latents) + " floats");
  }
  if (request.initial_noise != nullptr &&
      (request.initial_noise_count != images * latents || !all_finite(request.initial_noise, images * latents))) {
    return invalid_argument("initial_noise must hold " + std::to_string(images * latents) + " finite floats");
  }
  if (!(std::fabs(request.guidance_scale) <= 1000)) return invalid_argument("guidance_scale must be in -1000 .. 1000");
  if (request.guidance_scale != 1.0f && !manifest_.has_null_class()) {
    return invalid_argument(std::string(kNoNullClass) + ": guidance_scale must be 1");
  }
  if (!(0 <= request.guidance_low && request.guidance_low <= 1 && 0 <= request.guidance_high &&
        request.guidance_high <= 1)) {
    return invalid_argument("guidance_low and guidance_high must be in 0 .. 1");
  }
  if (request.guidance_low > request.guidance_high) {
    return invalid_argument("guidance_low must not be above guidance_high");
  }
  if (request.preview_interval < 0) return invalid_argument("preview_interval must not be negative");
  if (request.preview_interval > 0 && !manifest_.has_preview) {
    return invalid_argument("this bundle has no preview projection: preview_interval must be 0");
  }
  return {};
}

/// Which of the transformer's methods a step runs.
bool Pipeline::is_guided(const hqdit_request& request, double noise_level) {
  const auto level = static_cast<float>(noise_level);
  return request.guidance_scale != 1.0f && level >= request.guidance_low && level <= request.guidance_high;
}

Status Pipeline::predict(const hqdit_request& request, const SolverStep& step, bool guided) {
  const size_t count = latents_.size();
  const float* latents = latents_.data();
  Status status = model_->denoise(guided, latents, step.time, request.label, prediction_.data());
  if (!status.ok()) return status;
  if (guided) {
    const size_t end = static_cast<size_t>(manifest_.guided_channels) * manifest_.latent_plane();
    for (size_t i = 0; i < end; ++i) {
      const float unconditional = prediction_[count + i];
      prediction_[i] = unconditional + request.guidance_scale * (prediction_[i] - unconditional);
    }
  }
  if (all_finite(prediction_.data(), count)) return {};
  return {HQDIT_RUNTIME_ERROR, "the transformer returned a value that is not finite at timestep " +
                                   std::to_string(step.timestep(manifest_.process))};
}

Status Pipeline::step(const hqdit_request& request, size_t image, size_t index, bool* guided) {
  const SolverStep& solver = plan_[index];
  *guided = is_guided(request, solver.level);
  if (Status status = predict(request, solver, *guided); !status.ok()) return status;
  if (solver.random != 0.0) {
    fill_normal(request.seeds[image], static_cast<uint32_t>(index) + 1, random_.data(), random_.size());
  }
  scheduler_.apply(solver, prediction_.data(), random_.data(), latents_.data());
  return {};
}

bool Pipeline::preview(const hqdit_request& request, size_t step, hqdit_progress* progress) {
  const auto interval = static_cast<size_t>(request.preview_interval);
  if (interval == 0 || (step % interval != 0 && step != plan_.size())) return false;
  // The clean picture that this step predicts, not the noisy sample: it is recognisable early.
  project_preview(manifest_.preview, scheduler_.clean(), static_cast<size_t>(manifest_.latent_shape[0]),
                  manifest_.latent_plane(), preview_.data());
  progress->preview = preview_.data();
  return true;
}

Status Pipeline::draw(const hqdit_request& request, size_t index, Clock::time_point start, hqdit_result* result) {
  const size_t count = latents_.size();
  if (request.initial_noise != nullptr) {
    std::copy_n(request.initial_noise + index * count, count, latents_.data());
  } else {
    fill_normal(request.seeds[index], kInitialNoiseStream, latents_.data(), count);
  }
  hqdit_progress progress{};
  progress.struct_size = sizeof progress;
  progress.image_index = static_cast<int32_t>(index);
  progress.image_count = static_cast<int32_t>(request.seed_count);
  progress.step_count = static_cast<int32_t>(plan_.size());
  progress.preview_width = manifest_.latent_shape[2];
  progress.preview_height = manifest_.latent_shape[1];
  const auto report = [&](hqdit_phase phase) {
    progress.phase = phase;
    progress.elapsed_ms = milliseconds(Clock::now() - start);
    progress.peak_memory_bytes = peak_memory_bytes();
    return request.progress == nullptr || request.progress(&progress, request.user_data);
  };
  const Status cancelled{HQDIT_CANCELLED, "cancelled by the progress callback"};

  for (size_t i = 0; i < plan_.size(); ++i) {
    const auto step_start = Clock::now();
    if (Status status = step(request, index, i, &progress.guided); !status.ok()) return status;
    progress.step_ms = milliseconds(Clock::now() - step_start);
    result->denoise_ms += progress.step_ms;
    result->evaluations += progress.guided ? 2 : 1;
    progress.step = static_cast<int32_t>(i + 1);
    progress.timestep = static_cast<int32_t>(plan_[i].timestep(manifest_.process));
    progress.time = plan_[i].time;
    progress.noise_level = plan_[i].level;
    if (!preview(request, i + 1, &progress)) progress.preview = nullptr;
    if (!report(HQDIT_PHASE_STEP)) return cancelled;
  }
  progress.preview = nullptr;
  if (!report(HQDIT_PHASE_DECODE)) return cancelled;

  const auto decode_start = Clock::now();
  if (Status status = decode(latents_.data(), image_.data()); !status.ok()) return status;
  to_rgb8(image_.data(), manifest_.image_plane(), result->rgb + index * 3 * manifest_.image_plane());
  if (result->latents != nullptr) std::copy(latents_.begin(), latents_.end(), result->latents + index * count);
  result->decode_ms += milliseconds(Clock::now() - decode_start);
  return {};
}

Status Pipeline::generate(const hqdit_request& request, hqdit_result* result) {
  const auto start = Clock::now();
  if (Status status = check(request, *result); !status.ok()) return status;
  const auto eta = static_cast<double>(request.eta);
  Status status = plan_steps(manifest_.process, request.scheduler, request.spacing, request.steps, eta, &plan_);
  for (size_t i = 0; i < request.seed_count && status.ok(); ++i) status = draw(request, i, start, result);
  result->total_ms = milliseconds(Clock::now() - start);
  result->peak_memory_bytes = peak_memory_bytes();
  return status;
}

Status Pipeline::denoise(bool guided, const float* latents, double time, int32_t label, float* out) {
  if (Status status = check_label(label); !status.ok()) return status;
  if (guided && !manifest_.has_null_class()) {
    return invalid_argument(std::string(kNoNullClass) + ": guided must be false");
  }
  return model_->denoise(guided, latents, time, label, out);
}

Status Pipeline::decode(const float* latents, float* image) {
  const auto scale = static_cast<float>(manifest_.vae_scaling_factor);
  for (size_t i = 0; i < random_.size(); ++i) random_[i] = latents[i] / scale;
  if (Status status = model_->decode(random_.data(), image); !status.ok()) return status;
  if (all_finite(image, image_.size())) return {};
  return {HQDIT_RUNTIME_ERROR, "the image decoder returned a value that is not finite"};
}

}  // namespace hqdit
