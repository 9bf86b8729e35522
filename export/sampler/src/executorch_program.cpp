// SPDX-License-Identifier: Apache-2.0
#include "executorch_program.h"

#include <executorch/extension/memory_allocator/malloc_memory_allocator.h>
#include <executorch/runtime/core/hierarchical_allocator.h>
#include <executorch/runtime/executor/method.h>
#include <executorch/runtime/kernel/operator_registry.h>

#include <algorithm>
#include <mutex>
#include <optional>
#include <utility>

#include "executorch_host.h"
#include "file_loader.h"

namespace hqdit {
namespace {

namespace et = executorch::runtime;
using executorch::aten::ScalarType;
using executorch::extension::MallocMemoryAllocator;

std::string describe(ScalarType type, const int32_t* sizes, size_t rank) {
  std::string text = type == ScalarType::Float ? "float32 [" : type == ScalarType::Long ? "int64 [" : "other type [";
  for (size_t i = 0; i < rank; ++i) text += (i > 0 ? ", " : "") + std::to_string(sizes[i]);
  return text + "]";
}

std::string describe(const TensorSpec& spec) { return describe(spec.type, spec.sizes.data(), spec.sizes.size()); }

/// "" if the method's tensor is what the spec says, else what it is.
std::string mismatch(const TensorSpec& spec, et::Result<et::Tag> tag, et::Result<et::TensorInfo> info) {
  if (!tag.ok() || *tag != et::Tag::Tensor || !info.ok()) return "not a tensor";
  const auto sizes = info->sizes();
  const auto order = info->dim_order();
  bool contiguous = true;
  for (size_t i = 0; i < order.size(); ++i) contiguous = contiguous && order[i] == i;
  const bool same = info->scalar_type() == spec.type && sizes.size() == spec.sizes.size() &&
                    std::equal(sizes.begin(), sizes.end(), spec.sizes.begin());
  if (same && contiguous) return "";
  return describe(info->scalar_type(), sizes.data(), sizes.size()) + (contiguous ? "" : ", not contiguous");
}

Status runtime_failure(const std::string& what, et::Error error) {
  const std::string log = runtime_error();
  std::string message = what + ": " + et::to_string(error) + (log.empty() ? "" : " (" + log + ")");
  if (error == et::Error::OperatorMissing) {
    message += et::registry_has_op_function("hqdit::fp4_linear.out")
                   ? "; hqdit::fp4_linear is registered, so another operator of this model is not: link its kernels"
                   : "; hqdit::fp4_linear.out is not registered: the hqdit_ops library must be loaded with this one";
  }
  const bool memory = error == et::Error::MemoryAllocationFailed || runtime_lacks_memory(),
             file = error == et::Error::AccessFailed;
  return {memory ? HQDIT_OUT_OF_MEMORY : file ? HQDIT_IO_ERROR : HQDIT_RUNTIME_ERROR, std::move(message)};
}

}  // namespace

size_t TensorSpec::count() const {
  size_t count = 1;
  for (const int32_t size : sizes) count *= static_cast<size_t>(size);
  return count;
}

/// What a program may hold (program_check.h), and what it takes.
static Status check_loaded(const std::string& path, const FileLoader& loader, uint64_t file_bytes,
                           const LoadOptions& options, ProgramMemory* memory) {
  std::optional<et::FreeableBuffer> held;
  const ReadPart read = [&](uint64_t offset, size_t size, Bytes* part) -> Status {
    using Info = et::DataLoader::SegmentInfo;
    auto loaded = loader.load(static_cast<size_t>(offset), size, Info(Info::Type::Program));
    if (!loaded.ok()) return runtime_failure(path, loaded.error());
    held.emplace(std::move(*loaded));
    *part = {static_cast<const uint8_t*>(held->data()), held->size()};
    return {};
  };
  Status status = check_program(file_bytes, options.most_activation_bytes, read, memory);
  if (status.code == HQDIT_INVALID_BUNDLE) status.message = path + ": " + status.message;
  return status;
}

/// Held to load a method and to unload one: XNNPACK's graphs share a workspace, which comes with the first and goes
/// with the last (docs/security.md). They wait for each other there anyway.
static std::mutex loading_mutex;

/// A method and all the memory that its pointers lead to.
struct ExecutorchProgram::LoadedMethod {
  /// A tensor over a caller's buffer, with the shape arrays that TensorImpl borrows.
  struct Input {
    explicit Input(const TensorSpec& spec)
        : sizes(spec.sizes),
          order(sizes.size()),
          strides(sizes.size(), 1),
          tensor(spec.type, static_cast<ssize_t>(sizes.size()), sizes.data(), nullptr, order.data(), strides.data()) {
      for (size_t i = 0; i < sizes.size(); ++i) order[i] = static_cast<uint8_t>(i);
      for (size_t i = sizes.size(); i > 1; --i) strides[i - 2] = strides[i - 1] * sizes[i - 1];
    }
    std::vector<int32_t> sizes;
    std::vector<uint8_t> order;
    std::vector<int32_t> strides;
    executorch::aten::TensorImpl tensor;
  };

  LoadedMethod(std::vector<et::Span<uint8_t>> buffers, et::MemoryAllocator* scratch)
      : spans(std::move(buffers)), planned({spans.data(), spans.size()}), memory(&structures, &planned, scratch) {}

  ~LoadedMethod() {
    const std::lock_guard<std::mutex> lock(loading_mutex);
    method.reset();
  }

  std::vector<et::Span<uint8_t>> spans;
  MallocMemoryAllocator structures;
  et::HierarchicalAllocator planned;
  et::MemoryManager memory;
  std::vector<LargeMemory> own_buffers;
  std::vector<std::unique_ptr<Input>> inputs;
  std::unique_ptr<et::Method> method;  // last: its destructor uses the memory above
};

ExecutorchProgram::ExecutorchProgram(std::string path, std::unique_ptr<et::DataLoader> loader, et::Program&& program)
    : path_(std::move(path)), loader_(std::move(loader)), program_(std::move(program)) {}

ExecutorchProgram::~ExecutorchProgram() = default;

Status ExecutorchProgram::open(const BundleFiles& files, const ModelFile& model, const LoadOptions& options,
                               std::unique_ptr<ExecutorchProgram>* program) {
  OpenFile file;
  if (Status status = open_model_file(files, model, &file); !status.ok()) return status;
  start_executorch();
  return protect(file.path(), [&] { return open_file(std::move(file), model, options, program); });
}

Status ExecutorchProgram::open_file(OpenFile file, const ModelFile& model, const LoadOptions& options,
                                    std::unique_ptr<ExecutorchProgram>* program) {
  const std::string path = file.path();
  if (options.verify_sha256) {
    if (Status status = file.verify_sha256(model.sha256); !status.ok()) return status;
  }
  const uint64_t file_bytes = file.bytes();
  std::unique_ptr<FileLoader> loader;
  if (Status status = FileLoader::make(std::move(file), options.mode, &loader); !status.ok()) return status;
  ProgramMemory memory;
  if (!options.trust_programs) {
    if (Status status = check_loaded(path, *loader, file_bytes, options, &memory); !status.ok()) return status;
  }
  // The thorough check: a damaged file must give an error here and not a crash later.
  auto loaded = et::Program::load(loader.get(), et::Program::Verification::InternalConsistency);
  if (!loaded.ok()) {
    Status status = runtime_failure(path + ": not a readable ExecuTorch program", loaded.error());
    if (status.code == HQDIT_RUNTIME_ERROR) status.code = HQDIT_INVALID_BUNDLE;
    return status;
  }
  program->reset(new ExecutorchProgram(path, std::move(loader), std::move(*loaded)));
  (*program)->is_mapped_ = options.mode == HQDIT_LOAD_MMAP;
  (*program)->kept_bytes_ = (*program)->is_mapped_ ? 0 : memory.at_load;
  (*program)->unchecked_ = std::move(memory.methods);
  return {};
}

Status ExecutorchProgram::check(const MethodSpec& spec, size_t* arena_bytes) {
  return protect(path_, [&] { return check_method(spec, arena_bytes); });
}

Status ExecutorchProgram::check_method(const MethodSpec& spec, size_t* arena_bytes) {
  const auto meta = program_.method_meta(spec.name.c_str());
  const std::string where = path_ + ": method \"" + spec.name + "\"";
  if (!meta.ok()) return invalid_bundle(where + " does not exist");
  if (meta->num_inputs() != spec.inputs.size() || meta->num_outputs() != 1) {
    return invalid_bundle(where + " has " + std::to_string(meta->num_inputs()) + " inputs and " +
                          std::to_string(meta->num_outputs()) + " outputs, not " + std::to_string(spec.inputs.size()) +
                          " and 1");
  }
  for (size_t i = 0; i < spec.inputs.size(); ++i) {
    const std::string found = mismatch(spec.inputs[i], meta->input_tag(i), meta->input_tensor_meta(i));
    if (!found.empty()) {
      return invalid_bundle(where + ": input " + std::to_string(i) + " is " + found + ", the manifest asks for " +
                            describe(spec.inputs[i]));
    }
  }
  const std::string found = mismatch(spec.output, meta->output_tag(0), meta->output_tensor_meta(0));
  if (!found.empty()) {
    return invalid_bundle(where + ": the output is " + found + ", the manifest asks for " + describe(spec.output));
  }
  const XnnMemory memory = std::exchange(unchecked_[spec.name], {});
  workspace_bytes_ = std::max(workspace_bytes_, memory.workspace);
  loading_bytes_ = std::max(loading_bytes_, is_mapped_ ? 0 : memory.constants);
  kept_bytes_ = saturating_sum(kept_bytes_, saturating_sum(memory.kept, is_mapped_ ? 0 : memory.kept_constants));
  if (meta->num_memory_planned_buffers() > 0) {
    const auto bytes = meta->memory_planned_buffer_size(0);
    if (!bytes.ok() || *bytes < 0) return invalid_bundle(where + " has no valid memory plan");
    *arena_bytes = std::max(*arena_bytes, static_cast<size_t>(*bytes));
  }
  return {};
}

Status ExecutorchProgram::load(const MethodSpec& spec, Arena* arena, LoadedMethod** result) {
  std::unique_ptr<LoadedMethod>& slot = methods_[spec.name];
  *result = slot.get();
  if (slot != nullptr) return {};
  const std::string where = path_ + ": method \"" + spec.name + "\"";
  const auto meta = program_.method_meta(spec.name.c_str());
  if (!meta.ok()) return runtime_failure(where, meta.error());
  std::vector<et::Span<uint8_t>> spans;
  std::vector<LargeMemory> own_buffers;
  for (size_t i = 0; i < meta->num_memory_planned_buffers(); ++i) {
    const auto bytes = meta->memory_planned_buffer_size(i);
    if (!bytes.ok() || *bytes < 0) return invalid_bundle(where + " has no valid memory plan");
    // Only the first is plain activation memory that the next method may overwrite.
    if (i > 0) own_buffers.push_back(large_memory(static_cast<size_t>(*bytes)));
    spans.emplace_back(i > 0 ? own_buffers.back().get() : arena->data.get(), static_cast<size_t>(*bytes));
  }
  auto loaded = std::make_unique<LoadedMethod>(std::move(spans), &arena->scratch);
  loaded->own_buffers = std::move(own_buffers);
  for (const TensorSpec& input : spec.inputs) loaded->inputs.push_back(std::make_unique<LoadedMethod::Input>(input));
  const std::lock_guard<std::mutex> lock(loading_mutex);
  auto method = program_.load_method(spec.name.c_str(), &loaded->memory);
  if (!method.ok()) return runtime_failure(where + " cannot be loaded", method.error());
  // A damaged operator table is logged, yet the method loads, with null pointers for kernels.
  if (const std::string log = runtime_error(); !log.empty()) return invalid_bundle(where + " is damaged: " + log);
  loaded->method = std::make_unique<et::Method>(std::move(*method));
  slot = std::move(loaded);
  *result = slot.get();
  return {};
}

Status ExecutorchProgram::run(const MethodSpec& spec, Arena* arena, const std::vector<void*>& inputs,
                              const float** result) {
  LoadedMethod* loaded = nullptr;
  Status status = protect(path_, [&] { return load(spec, arena, &loaded); });
  if (!status.ok()) return status;
  WorkspaceScope workspace(most_workspace_);
  status = protect(path_, [&] { return execute(spec, loaded, inputs, result); });
  const uint64_t refused = workspace.refused();
  if (refused == 0) return status;
  return {HQDIT_MEMORY_LIMIT, path_ + ": an operator works in " + std::to_string(refused) +
                                  " bytes, of the memory limit " + std::to_string(most_workspace_) + " are left"};
}

Status ExecutorchProgram::execute(const MethodSpec& spec, LoadedMethod* loaded, const std::vector<void*>& inputs,
                                  const float** result) {
  et::Method& method = *loaded->method;
  et::Error error = et::Error::Ok;
  for (size_t i = 0; i < inputs.size() && error == et::Error::Ok; ++i) {
    loaded->inputs[i]->tensor.set_data(inputs[i]);
    error = method.set_input(et::EValue(executorch::aten::Tensor(&loaded->inputs[i]->tensor)), i);
  }
  if (error == et::Error::Ok) error = method.execute();
  if (error != et::Error::Ok) return runtime_failure(path_ + ": method \"" + spec.name + "\" failed", error);
  const et::EValue& value = method.get_output(0);
  if (!value.isTensor() || value.toTensor().nbytes() != spec.output.count() * sizeof(float)) {
    return {HQDIT_RUNTIME_ERROR, path_ + ": method \"" + spec.name + "\" returned a tensor of another size"};
  }
  *result = value.toTensor().const_data_ptr<float>();
  return {};
}

}  // namespace hqdit
