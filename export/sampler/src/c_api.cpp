// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <atomic>
#include <memory>

#include "guard.h"
#include "hqdit.h"
#include "manifest.h"
#include "pipeline.h"
#include "struct_size.h"

struct hqdit_pipeline {
  std::unique_ptr<hqdit::Pipeline> pipeline;
  std::atomic_flag busy = ATOMIC_FLAG_INIT;
};

namespace {

using hqdit::BundleFiles;
using hqdit::guard;
using hqdit::invalid_argument;
using hqdit::Manifest;
using hqdit::Status;

/// Runs `body` unless another call runs on this pipeline.
template <typename Body>
hqdit_status exclusive(hqdit_pipeline* pipeline, Body body) {
  return guard([&]() -> Status {
    if (pipeline == nullptr) return invalid_argument("pipeline is NULL");
    if (pipeline->busy.test_and_set(std::memory_order_acquire)) {
      return {HQDIT_BUSY, "another call is running on this pipeline"};
    }
    struct Release {
      std::atomic_flag& busy;
      ~Release() { busy.clear(std::memory_order_release); }
    } release{pipeline->busy};
    return body(*pipeline->pipeline);
  });
}

Status estimate(const BundleFiles& files, hqdit_memory* memory) {
  hqdit_memory known{};
  if (Status status = hqdit::read_struct(memory, "memory", &known); !status.ok()) return status;
  Manifest manifest;
  if (Status status = hqdit::load_manifest(files, {}, &manifest); !status.ok()) return status;
  hqdit::write_struct(manifest.memory, memory->struct_size, memory);
  return {};
}

hqdit_open_options default_options() {
  hqdit_open_options options{};
  options.struct_size = sizeof options;
  options.verify_sha256 = true;
  return options;
}

Status read_options(const hqdit_open_options* options, hqdit_open_options* full) {
  *full = default_options();
  if (options != nullptr) {
    if (Status status = hqdit::read_struct(options, "options", full); !status.ok()) return status;
  }
  if (full->load_mode != HQDIT_LOAD_MMAP && full->load_mode != HQDIT_LOAD_READ) {
    return invalid_argument("unknown load_mode " + std::to_string(full->load_mode));
  }
  if (full->public_key_count > 0 && !full->verify_sha256) {
    return invalid_argument("public_keys need verify_sha256: without digests a signature says nothing of the programs");
  }
  return hqdit::TrustedKeys{full->public_keys, full->public_key_count}.check();
}

Status open(const BundleFiles& files, const hqdit_open_options* options, hqdit_pipeline** pipeline) {
  hqdit_open_options full;
  if (Status status = read_options(options, &full); !status.ok()) return status;
  auto opened = std::make_unique<hqdit_pipeline>();
  if (Status status = hqdit::Pipeline::open(files, full, &opened->pipeline); !status.ok()) return status;
  *pipeline = opened.release();
  return {};
}

hqdit_request default_request(const Manifest& manifest) {
  hqdit_request request{};
  request.struct_size = sizeof request;
  request.label = -1;
  request.scheduler = manifest.default_scheduler;
  request.spacing = manifest.spacing;
  request.steps = manifest.default_steps;
  request.guidance_scale = manifest.default_guidance_scale;
  request.guidance_low = manifest.default_guidance_low;
  request.guidance_high = manifest.default_guidance_high;
  return request;
}

hqdit_info describe(const hqdit::Pipeline& pipeline) {
  const Manifest& manifest = pipeline.manifest();
  hqdit_info info{};
  info.struct_size = sizeof info;
  info.name = manifest.name.c_str();
  info.target = manifest.target.c_str();
  info.image_width = manifest.image_shape[2];
  info.image_height = manifest.image_shape[1];
  info.latent_channels = manifest.latent_shape[0];
  info.latent_height = manifest.latent_shape[1];
  info.latent_width = manifest.latent_shape[2];
  info.num_classes = manifest.num_classes;
  info.null_label = manifest.null_label;
  info.num_train_timesteps = manifest.process.schedule.num_train_timesteps;
  info.has_preview = manifest.has_preview;
  info.default_scheduler = manifest.default_scheduler;
  info.default_spacing = manifest.spacing;
  info.default_steps = manifest.default_steps;
  info.default_guidance_scale = manifest.default_guidance_scale;
  info.default_guidance_low = manifest.default_guidance_low;
  info.default_guidance_high = manifest.default_guidance_high;
  info.decodes_tiled = pipeline.decodes_tiled();
  const hqdit::Process& process = manifest.process;
  info.time_at_noise = process.is_flow ? process.flow.time_at_noise : process.schedule.num_train_timesteps - 1;
  info.time_at_data = process.is_flow ? process.flow.time_at_data : 0;
  for (int32_t i = 0; process.has_sampler(i); ++i) info.schedulers |= 1u << i;
  return info;
}

}  // namespace

extern "C" {

const char* hqdit_version(void) { return HQDIT_VERSION; }

hqdit_status hqdit_estimate(const char* bundle_dir, hqdit_memory* memory) {
  return guard([&]() -> Status {
    if (bundle_dir == nullptr) return invalid_argument("bundle_dir is NULL");
    return estimate(BundleFiles(bundle_dir), memory);
  });
}

hqdit_status hqdit_estimate_files(const hqdit_file* files, size_t file_count, hqdit_memory* memory) {
  return guard([&]() -> Status {
    BundleFiles given;
    Status status = BundleFiles::given(files, file_count, &given);
    return status.ok() ? estimate(given, memory) : status;
  });
}

void hqdit_open_options_init(hqdit_open_options* options, size_t struct_size) {
  if (options != nullptr) hqdit::write_struct(default_options(), struct_size, options);
}

hqdit_status hqdit_open(const char* bundle_dir, const hqdit_open_options* options, hqdit_pipeline** pipeline) {
  return guard([&]() -> Status {
    if (bundle_dir == nullptr || pipeline == nullptr) return invalid_argument("bundle_dir or pipeline is NULL");
    *pipeline = nullptr;
    return open(BundleFiles(bundle_dir), options, pipeline);
  });
}

hqdit_status hqdit_open_files(const hqdit_file* files, size_t file_count, const hqdit_open_options* options,
                              hqdit_pipeline** pipeline) {
  return guard([&]() -> Status {
    if (pipeline == nullptr) return invalid_argument("pipeline is NULL");
    *pipeline = nullptr;
    BundleFiles given;
    Status status = BundleFiles::given(files, file_count, &given);
    return status.ok() ? open(given, options, pipeline) : status;
  });
}

hqdit_status hqdit_close(hqdit_pipeline* pipeline) {
  return guard([&]() -> Status {
    if (pipeline == nullptr) return {};
    if (pipeline->busy.test_and_set(std::memory_order_acquire)) {
      return {HQDIT_BUSY, "a call is running on this pipeline: cancel it, and close when it has returned"};
    }
    delete pipeline;
    return {};
  });
}

hqdit_status hqdit_get_info(const hqdit_pipeline* pipeline, hqdit_info* info) {
  return guard([&]() -> Status {
    if (pipeline == nullptr) return invalid_argument("pipeline is NULL");
    hqdit_info known{};
    if (Status status = hqdit::read_struct(info, "info", &known); !status.ok()) return status;
    hqdit::write_struct(describe(*pipeline->pipeline), info->struct_size, info);
    return {};
  });
}

hqdit_status hqdit_get_memory(const hqdit_pipeline* pipeline, hqdit_memory* memory) {
  return guard([&]() -> Status {
    if (pipeline == nullptr) return invalid_argument("pipeline is NULL");
    hqdit_memory known{};
    if (Status status = hqdit::read_struct(memory, "memory", &known); !status.ok()) return status;
    hqdit::write_struct(pipeline->pipeline->manifest().memory, memory->struct_size, memory);
    return {};
  });
}

const char* hqdit_label_name(const hqdit_pipeline* pipeline, int32_t label) {
  if (pipeline == nullptr || label < 0) return nullptr;
  const auto& labels = pipeline->pipeline->manifest().labels;
  const auto index = static_cast<size_t>(label);
  return index < labels.size() ? labels[index].c_str() : nullptr;
}

hqdit_status hqdit_find_label(const hqdit_pipeline* pipeline, const char* name, int32_t* label) {
  return guard([&]() -> Status {
    if (pipeline == nullptr || name == nullptr || label == nullptr) return invalid_argument("an argument is NULL");
    const auto& labels = pipeline->pipeline->manifest().labels;
    const auto found = std::find(labels.begin(), labels.end(), name);
    if (found == labels.end()) return {HQDIT_NOT_FOUND, "no label has the name \"" + std::string(name) + "\""};
    if (std::find(found + 1, labels.end(), name) != labels.end()) {
      return invalid_argument("several classes have the name \"" + std::string(name) + "\": use their numbers");
    }
    *label = static_cast<int32_t>(found - labels.begin());
    return {};
  });
}

hqdit_status hqdit_request_init(const hqdit_pipeline* pipeline, hqdit_request* request, size_t struct_size) {
  return guard([&]() -> Status {
    if (pipeline == nullptr || request == nullptr) return invalid_argument("pipeline or request is NULL");
    hqdit::write_struct(default_request(pipeline->pipeline->manifest()), struct_size, request);
    return {};
  });
}

void hqdit_result_init(hqdit_result* result, size_t struct_size) {
  if (result != nullptr) hqdit::write_struct(hqdit_result{}, struct_size, result);
}

hqdit_status hqdit_generate(hqdit_pipeline* pipeline, const hqdit_request* request, hqdit_result* result) {
  return exclusive(pipeline, [&](hqdit::Pipeline& opened) -> Status {
    hqdit_request full = default_request(opened.manifest());
    if (Status status = hqdit::read_struct(request, "request", &full); !status.ok()) return status;
    hqdit_result out{};
    if (Status status = hqdit::read_struct(result, "result", &out); !status.ok()) return status;
    out.evaluations = 0;
    out.denoise_ms = out.decode_ms = out.total_ms = 0;
    const Status status = opened.generate(full, &out);
    hqdit::write_struct(out, result->struct_size, result);
    return status;
  });
}

hqdit_status hqdit_denoise(hqdit_pipeline* pipeline, const float* latents, float timestep, int32_t label, bool guided,
                           float* out, size_t out_count) {
  return exclusive(pipeline, [&](hqdit::Pipeline& opened) -> Status {
    const size_t count = opened.manifest().latent_count() * (guided ? 2 : 1);
    if (latents == nullptr || out == nullptr || out_count != count) {
      return invalid_argument("latents and out must not be NULL and out must hold " + std::to_string(count) +
                              " floats");
    }
    return opened.denoise(guided, latents, timestep, label, out);
  });
}

hqdit_status hqdit_decode(hqdit_pipeline* pipeline, const float* latents, float* image, size_t image_count) {
  return exclusive(pipeline, [&](hqdit::Pipeline& opened) -> Status {
    const size_t count = 3 * opened.manifest().image_plane();
    if (latents == nullptr || image == nullptr || image_count != count) {
      return invalid_argument("latents and image must not be NULL and image must hold " + std::to_string(count) +
                              " floats");
    }
    return opened.decode(latents, image);
  });
}

}  // extern "C"
