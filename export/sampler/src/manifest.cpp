// SPDX-License-Identifier: Apache-2.0
#include "manifest.h"

#include "files.h"
#include "json.h"
#include "json_fields.h"
#include "process_fields.h"

namespace hqdit {
namespace {

constexpr int kOldestSchema = 1, kNewestSchema = 2;
constexpr int64_t kMaxClasses = 100000;
constexpr size_t kMaxConditions = 16;
constexpr int64_t kMaxBytes = int64_t{1} << 46;

ModelFile model_file(JsonFields files, std::string_view key) {
  JsonFields fields = files.object(key);
  ModelFile file;
  file.path = fields.text("path");
  file.bytes = static_cast<uint64_t>(fields.integer("bytes", 1, kMaxBytes));
  file.sha256 = fields.text("sha256");
  if (file.sha256.size() != 64 || file.sha256.find_first_not_of("0123456789abcdef") != std::string::npos) {
    fields.fail("sha256", "must be 64 lower-case hexadecimal digits");
  }
  return file;
}

void read_model(JsonFields fields, Manifest* m) {
  m->latent_shape = fields.shape("latent_shape");
  m->image_shape = fields.shape("image_shape");
  if (m->image_shape[0] != 3) fields.fail("image_shape", "must have 3 channels");
  m->num_classes = static_cast<int32_t>(fields.integer("num_classes", 1, kMaxClasses));
  if (fields.has("null_label")) m->null_label = static_cast<int32_t>(fields.integer("null_label", 0, kMaxClasses));
  m->vae_scaling_factor = fields.number("vae_scaling_factor", 1e-6, 1e6);
}

void read_methods(JsonFields fields, Manifest* m) {
  if (m->has_null_class()) {
    m->method_guided = fields.text("guided");
  } else if (fields.has("guided")) {
    fields.fail("guided", "needs model.null_label, which is missing");
  }
  m->method_unguided = fields.text("unguided");
  m->method_decode = fields.text("decode");
}

/// What the programs take beside latents and time. The engine draws by class; bundles of before do not say it.
void read_conditions(JsonFields fields, Manifest* m) {
  if (!fields.has("conditions")) return;
  std::vector<JsonFields> conditions = fields.objects("conditions", kMaxConditions);
  if (conditions.size() != 1 || conditions[0].text("name") != "label") {
    return fields.fail("conditions", "must be the label alone, by which this engine draws; update the engine");
  }
  JsonFields label = conditions[0];
  label.choice("type", {"int64"});
  if (label.has("shape")) label.integers("shape", 0, 0, 1, 1);
  const int64_t null = label.has("null") ? label.integer("null", 0, kMaxClasses) : -1;
  if (null != m->null_label) label.fail("null", "must be model.null_label, or be missing as that is");
}

void read_defaults(JsonFields fields, Manifest* m) {
  m->default_scheduler =
      static_cast<hqdit_scheduler_kind>(fields.choice("scheduler", {"ddim", "dpm-solver++", "euler", "heun"}));
  if (!m->process.has_sampler(m->default_scheduler))
    fields.fail("scheduler", "is for flows; this process has ddim and dpm-solver++");
  m->default_steps = static_cast<int32_t>(fields.integer("steps", 1, m->process.schedule.num_train_timesteps));
  m->default_guidance_scale = static_cast<float>(fields.number("guidance_scale", -1000, 1000));
  if (!m->has_null_class() && m->default_guidance_scale != 1.0f) {
    fields.fail("guidance_scale", "must be 1 where there is no model.null_label");
  }
  const std::vector<double> interval = fields.numbers("guidance_interval", 2, 0, 1);
  m->default_guidance_low = static_cast<float>(interval[0]);
  m->default_guidance_high = static_cast<float>(interval[1]);
  if (interval[0] > interval[1]) fields.fail("guidance_interval", "must have the lower number first");
}

void read_preview(JsonFields fields, Manifest* m) {
  m->has_preview = true;
  for (const std::vector<double>& row : fields.rows("matrix", 3, static_cast<size_t>(m->latent_shape[0]))) {
    for (const double value : row) m->preview.matrix.push_back(static_cast<float>(value));
  }
  const std::vector<double> bias = fields.numbers("bias", 3, -1e6, 1e6);
  for (size_t i = 0; i < 3; ++i) m->preview.bias[i] = static_cast<float>(bias[i]);
}

void read_memory(JsonFields fields, hqdit_memory* memory) {
  memory->weights_bytes = static_cast<uint64_t>(fields.integer("weights_bytes", 0, kMaxBytes));
  memory->arena_bytes = static_cast<uint64_t>(fields.integer("arena_bytes", 0, kMaxBytes));
  memory->peak_bytes = static_cast<uint64_t>(fields.integer("peak_bytes", 0, kMaxBytes));
  if (fields.has("tiled_peak_bytes")) {
    memory->tiled_peak_bytes = static_cast<uint64_t>(fields.integer("tiled_peak_bytes", 0, kMaxBytes));
  }
}

/// Bundles of before and those of small pictures have no tiles.
void read_decoder(JsonFields fields, Manifest* m) {
  if (!fields.has("decoder") || !fields.object("decoder").has("tiles")) return;
  m->has_decoder_tiles = true;
  m->decoder_tiles = read_decoder_tiles(fields.object("decoder").object("tiles"), m->image_shape);
}

}  // namespace

Status open_model_file(const BundleFiles& files, const ModelFile& model, OpenFile* file) {
  if (Status status = files.open(model.path, file); !status.ok()) return status;
  if (file->bytes() == model.bytes) return {};
  return invalid_bundle(file->path() + ": has " + std::to_string(file->bytes()) + " bytes, the manifest says " +
                        std::to_string(model.bytes) + "; the file is incomplete or was changed");
}

Status parse_manifest(std::string text, Manifest* m) {
  JsonDocument document;
  if (Status status = document.parse(std::move(text)); !status.ok()) return status;
  if (document.root().type() != Json::Type::kObject) return invalid_bundle("must be a JSON object");
  Status status;
  JsonFields fields(document.root(), &status);
  const int64_t version = fields.integer("schema_version", 0, kMaxBytes);
  if (status.ok() && (version < kOldestSchema || version > kNewestSchema)) {
    fields.fail("schema_version", "is " + std::to_string(version) + ", this engine reads versions " +
                                      std::to_string(kOldestSchema) + " to " + std::to_string(kNewestSchema) +
                                      "; export the bundle again or use the engine it was made for");
  }
  m->name = fields.text("name");
  m->target = fields.text("target");
  m->runtime = fields.text("runtime");
  read_model(fields.object("model"), m);
  read_conditions(fields, m);
  JsonFields files = fields.object("files");
  m->transformer = model_file(files, "transformer");
  m->vae_decoder = model_file(files, "vae_decoder");
  read_methods(fields.object("methods"), m);
  if (version == kOldestSchema) {
    read_schedule(fields.object("scheduler"), fields.object("guidance"), m->latent_shape[0], m);
  } else {
    read_process(fields.object("process"), m->latent_shape[0], m);
  }
  read_defaults(fields.object("defaults"), m);
  if (fields.has("preview")) read_preview(fields.object("preview"), m);
  read_decoder(fields, m);
  read_memory(fields.object("memory"), &m->memory);
  m->memory.file_bytes = m->transformer.bytes + m->vae_decoder.bytes;
  m->labels = fields.texts("labels", static_cast<size_t>(m->num_classes));
  if (!status.ok()) return status;
  status = check(m->process);
  const char* where = version == kOldestSchema ? "scheduler: " : "process: ";
  return status.ok() ? status : invalid_bundle(where + status.message);
}

Status load_manifest(const BundleFiles& files, const TrustedKeys& keys, Manifest* manifest) {
  OpenFile file, model;
  std::string text;
  if (Status status = files.open("manifest.json", &file); !status.ok()) return status;
  if (Status status = file.read_text(JsonDocument::kMaxTextBytes, &text); !status.ok()) return status;
  if (keys.count > 0) {
    if (Status status = check_signature(files, text, keys); !status.ok()) return status;
  }
  Status status = parse_manifest(std::move(text), manifest);
  if (status.ok()) status = open_model_file(files, manifest->transformer, &model);
  if (status.ok()) status = open_model_file(files, manifest->vae_decoder, &model);
  if (!status.ok() && status.code == HQDIT_INVALID_BUNDLE) status.message = file.path() + ": " + status.message;
  return status;
}

}  // namespace hqdit
