// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "bundle_files.h"
#include "decoder_tiles.h"
#include "hqdit.h"
#include "process.h"
#include "signature.h"
#include "status.h"

namespace hqdit {

struct ModelFile {
  std::string path;  ///< inside the bundle
  uint64_t bytes = 0;
  std::string sha256;
};

/// Latent to RGB at the latent's resolution: rgb = matrix latent + bias, in about [-1, 1].
struct PreviewProjection {
  std::vector<float> matrix;  ///< [3][latent channels]
  std::array<float, 3> bias = {};
};

/// What the engine needs from a bundle's manifest.json (schema version 1 or 2); other keys are ignored.
struct Manifest {
  std::string name, target, runtime;
  std::array<int32_t, 3> latent_shape = {}, image_shape = {};
  int32_t num_classes = 0, null_label = -1;  ///< -1: the model has no null class
  double vae_scaling_factor = 1;
  ModelFile transformer, vae_decoder;
  std::string method_guided, method_unguided, method_decode;  ///< the first only with a null class
  Process process;
  hqdit_timestep_spacing spacing = HQDIT_SPACING_LEADING;
  hqdit_scheduler_kind default_scheduler = HQDIT_SCHEDULER_DDIM;
  int32_t default_steps = 0;
  float default_guidance_scale = 1, default_guidance_low = 0, default_guidance_high = 1;
  int32_t guided_channels = 0;
  bool has_preview = false;
  PreviewProjection preview;
  bool has_decoder_tiles = false;
  DecoderTiles decoder_tiles;
  hqdit_memory memory = {};
  std::vector<std::string> labels;

  /// Else the model draws without guidance.
  bool has_null_class() const { return null_label >= 0; }
  size_t latent_plane() const { return static_cast<size_t>(latent_shape[1]) * static_cast<size_t>(latent_shape[2]); }
  size_t latent_count() const { return static_cast<size_t>(latent_shape[0]) * latent_plane(); }
  size_t image_plane() const { return static_cast<size_t>(image_shape[1]) * static_cast<size_t>(image_shape[2]); }
};

/// The text of a manifest, without looking at any file.
Status parse_manifest(std::string text, Manifest* manifest);

/// Opens a file of the manifest; HQDIT_INVALID_BUNDLE unless it has the size that the manifest says.
Status open_model_file(const BundleFiles& files, const ModelFile& model, OpenFile* file);

/// Reads manifest.json, verifies its signature if there are keys, and looks for the model files and at their sizes.
Status load_manifest(const BundleFiles& files, const TrustedKeys& keys, Manifest* manifest);

}  // namespace hqdit
