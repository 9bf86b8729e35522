// SPDX-License-Identifier: Apache-2.0
// hqdit.FP4Linear for ONNX Runtime. A registered kernel goes before the function body that our files carry.
#if defined(HQDIT_ORT_HEADER)
#include <onnxruntime_c_api.h>
#else
#include "ort_abi.h"
#endif

#include <algorithm>
#include <atomic>
#include <exception>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "hqdit/fp4_linear.h"

namespace {

constexpr uint32_t kApiVersion = 17;  // the first with KernelContext_ParallelFor
constexpr char kDomain[] = "hqdit";
constexpr char kName[] = "FP4Linear";
constexpr char kRepair[] = "export the model again with the hqdit-mobile release that this library belongs to";
constexpr size_t kAlignment = 64;

enum Input : size_t { kX, kCodes, kTables, kScale, kBias, kPre, kInputs };
constexpr const char* kInputNames[] = {"x", "codes", "tables", "scale", "bias", "pre"};

OrtStatus* failure(const OrtApi& api, const std::string& node, const std::string& what) {
  return api.CreateStatus(ORT_INVALID_ARGUMENT,
                          (std::string("hqdit.FP4Linear node '") + node + "': " + what + "; " + kRepair).c_str());
}

OrtStatus* shape_of(const OrtApi& api, const OrtValue* value, std::vector<int64_t>* dims) {
  OrtTensorTypeAndShapeInfo* info = nullptr;
  if (OrtStatus* status = api.GetTensorTypeAndShape(value, &info)) return status;
  size_t rank = 0;
  OrtStatus* status = api.GetDimensionsCount(info, &rank);
  if (!status) {
    dims->resize(rank);
    status = api.GetDimensions(info, dims->data(), rank);
  }
  api.ReleaseTensorTypeAndShapeInfo(info);
  return status;
}

int64_t elements(const std::vector<int64_t>& dims) {
  int64_t count = 1;
  for (const int64_t dim : dims) count *= dim;
  return count;
}

std::string node_name(const OrtApi& api, const OrtKernelInfo* info) {
  size_t size = 0;
  // With a null pointer it only says the size, zero included.
  if (OrtStatus* status = api.KernelInfo_GetNodeName(info, nullptr, &size)) api.ReleaseStatus(status);
  std::string name(size, '\0');
  if (size == 0) return name;
  if (OrtStatus* status = api.KernelInfo_GetNodeName(info, &name[0], &size)) {
    api.ReleaseStatus(status);
    return {};
  }
  name.resize(size - 1);
  return name;
}

/// Runs the kernels' units on the session's own threads.
struct SessionThreads {
  const OrtApi& api;
  const OrtKernelContext* context;

  static void run(void* self, int64_t count, void (*fn)(void*, int64_t, int64_t), void* arg) {
    struct Units {
      void (*fn)(void*, int64_t, int64_t);
      void* arg;
    } units{fn, arg};
    const auto one = [](void* data, size_t index) {
      const Units& u = *static_cast<const Units*>(data);
      u.fn(u.arg, static_cast<int64_t>(index), static_cast<int64_t>(index) + 1);
    };
    const auto& threads = *static_cast<const SessionThreads*>(self);
    OrtStatus* status =
        threads.api.KernelContext_ParallelFor(threads.context, one, static_cast<size_t>(count), 0, &units);
    if (status) {
      // It refuses only before it starts.
      threads.api.ReleaseStatus(status);
      fn(arg, 0, count);
    }
  }
};

/// Memory from the session's arena for one call.
class Workspace {
 public:
  Workspace(const OrtApi& api, size_t bytes) : api_(api), bytes_(bytes + kAlignment) {}
  Workspace(const Workspace&) = delete;
  Workspace& operator=(const Workspace&) = delete;
  ~Workspace() {
    if (memory_) {
      if (OrtStatus* status = api_.AllocatorFree(allocator_, memory_)) api_.ReleaseStatus(status);
    }
    if (allocator_) api_.ReleaseAllocator(allocator_);
  }

  OrtStatus* allocate(const OrtKernelContext* context, const OrtMemoryInfo* info) {
    if (OrtStatus* status = api_.KernelContext_GetAllocator(context, info, &allocator_)) return status;
    return api_.AllocatorAlloc(allocator_, bytes_, &memory_);
  }

  void* aligned() const {
    void* start = memory_;
    size_t space = bytes_;
    return std::align(kAlignment, bytes_ - kAlignment, start, space);
  }

 private:
  const OrtApi& api_;
  size_t bytes_;
  OrtAllocator* allocator_ = nullptr;
  void* memory_ = nullptr;
};

struct Kernel {
  const OrtApi& api;
  std::string node;
  OrtMemoryInfo* memory_info = nullptr;
  int64_t group = 0, rotation = 0, activation = 0, activation_group = 0;
  int64_t counts[kInputs] = {};  // elements of the constant inputs
  std::atomic<bool> tables_checked{false};

  explicit Kernel(const OrtApi& a) : api(a) {}
  Kernel(const Kernel&) = delete;
  Kernel& operator=(const Kernel&) = delete;
  ~Kernel() {
    if (memory_info) api.ReleaseMemoryInfo(memory_info);
  }

  OrtStatus* create(const OrtKernelInfo* info) {
    node = node_name(api, info);
    const std::pair<const char*, int64_t*> attributes[] = {{"group", &group},
                                                           {"rotation", &rotation},
                                                           {"activation", &activation},
                                                           {"activation_group", &activation_group}};
    for (const auto& [name, value] : attributes) {
      if (OrtStatus* status = api.KernelInfoGetAttribute_int64(info, name, value)) {
        api.ReleaseStatus(status);
        return failure(api, node, std::string("attribute '") + name + "' is missing or no integer");
      }
    }
    for (size_t i = kCodes; i < kInputs; ++i) {
      int constant = 0;
      const OrtValue* value = nullptr;
      if (OrtStatus* status = api.KernelInfoGetConstantInput_tensor(info, i, &constant, &value)) return status;
      if (!constant) return failure(api, node, std::string("input '") + kInputNames[i] + "' must be an initializer");
      std::vector<int64_t> dims;
      if (OrtStatus* status = shape_of(api, value, &dims)) return status;
      counts[i] = elements(dims);
    }
    return api.CreateCpuMemoryInfo(OrtDeviceAllocator, OrtMemTypeDefault, &memory_info);
  }

  OrtStatus* check(const hqdit::Fp4Weight& weight) {
    const auto kind = static_cast<hqdit::Activation>(activation);
    if (activation < 0 || activation > 2) return failure(api, node, "attribute 'activation' must be 0, 1 or 2");
    if (const char* problem = hqdit::fp4_linear_check(weight, kind, activation_group)) {
      return failure(api, node, problem);
    }
    const hqdit::StoredSize stored = hqdit::fp4_stored_size(weight);
    const int64_t wanted[] = {0, stored.codes, stored.tables, weight.n, weight.n, weight.k};
    for (size_t i = kCodes; i < kInputs; ++i) {
      if (counts[i] == wanted[i]) continue;
      return failure(api, node,
                     std::string("input '") + kInputNames[i] + "' has " + std::to_string(counts[i]) + " elements, " +
                         std::to_string(wanted[i]) + " are needed for K = " + std::to_string(weight.k) +
                         " and N = " + std::to_string(weight.n));
    }
    if (tables_checked.load(std::memory_order_relaxed)) return nullptr;
    if (const char* problem = hqdit::fp4_tables_check(weight)) return failure(api, node, problem);
    tables_checked.store(true, std::memory_order_relaxed);
    return nullptr;
  }

  OrtStatus* compute(OrtKernelContext* context) {
    const OrtValue* x = nullptr;
    void* data[kInputs] = {};
    for (size_t i = 0; i < kInputs; ++i) {
      const OrtValue* value = nullptr;
      if (OrtStatus* status = api.KernelContext_GetInput(context, i, &value)) return status;
      // There is no function for reading only.
      if (OrtStatus* status = api.GetTensorMutableData(const_cast<OrtValue*>(value), &data[i])) return status;
      if (i == kX) x = value;
    }
    std::vector<int64_t> dims;
    if (OrtStatus* status = shape_of(api, x, &dims)) return status;
    if (dims.empty()) return failure(api, node, "x must have at least one dimension");
    const hqdit::Fp4Weight weight{static_cast<const uint8_t*>(data[kCodes]),
                                  static_cast<const uint8_t*>(data[kTables]),
                                  static_cast<const float*>(data[kScale]),
                                  static_cast<const float*>(data[kBias]),
                                  static_cast<const float*>(data[kPre]),
                                  counts[kScale],
                                  dims.back(),
                                  group,
                                  rotation};
    if (OrtStatus* status = check(weight)) return status;
    const int64_t rows = elements(dims) / weight.k;
    dims.back() = weight.n;
    OrtValue* out = nullptr;
    void* result = nullptr;
    if (OrtStatus* status = api.KernelContext_GetOutput(context, 0, dims.data(), dims.size(), &out)) return status;
    if (OrtStatus* status = api.GetTensorMutableData(out, &result)) return status;

    SessionThreads threads{api, context};
    // The session's thread count is not to be had; units that find no thread run after the others.
    const auto most = static_cast<int32_t>(std::max(1u, std::thread::hardware_concurrency()));
    const hqdit::ParallelFor parallel{SessionThreads::run, &threads, most};
    Workspace workspace(api, hqdit::fp4_linear_workspace(weight, rows, parallel));
    if (OrtStatus* status = workspace.allocate(context, memory_info)) return status;
    hqdit::fp4_linear(weight, static_cast<const float*>(data[kX]), rows, static_cast<hqdit::Activation>(activation),
                      activation_group, static_cast<float*>(result), workspace.aligned(), parallel);
    return nullptr;
  }
};

/// Runs work; an exception (no memory) becomes a status, because none may pass through C.
template <class Work>
OrtStatus* guarded(const OrtApi& api, const Work& work) {
  try {
    return work();
  } catch (const std::exception& error) {
    return api.CreateStatus(ORT_FAIL, error.what());
  }
}

OrtStatus* create_kernel(const OrtCustomOp*, const OrtApi* api, const OrtKernelInfo* info, void** out) {
  return guarded(*api, [&]() -> OrtStatus* {
    auto kernel = std::make_unique<Kernel>(*api);
    if (OrtStatus* status = kernel->create(info)) return status;
    *out = kernel.release();
    return nullptr;
  });
}

OrtStatus* compute_kernel(void* kernel, OrtKernelContext* context) {
  Kernel& self = *static_cast<Kernel*>(kernel);
  return guarded(self.api, [&] { return self.compute(context); });
}

OrtCustomOp make_op() {
  using Op = const OrtCustomOp*;
  OrtCustomOp op{};
  op.version = kApiVersion;
  op.GetName = [](Op) -> const char* { return kName; };
  op.GetExecutionProviderType = [](Op) -> const char* { return nullptr; };  // CPU
  op.GetInputTypeCount = [](Op) -> size_t { return kInputs; };
  op.GetInputType = [](Op, size_t index) {
    const bool bytes = index == kCodes || index == kTables;
    return bytes ? ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8 : ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT;
  };
  op.GetOutputTypeCount = [](Op) -> size_t { return 1; };
  op.GetOutputType = [](Op, size_t) { return ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT; };
  op.GetInputCharacteristic = [](Op, size_t) { return INPUT_OUTPUT_REQUIRED; };
  op.GetOutputCharacteristic = [](Op, size_t) { return INPUT_OUTPUT_REQUIRED; };
  op.GetInputMemoryType = [](Op, size_t) { return OrtMemTypeDefault; };
  op.GetVariadicInputMinArity = op.GetVariadicOutputMinArity = [](Op) { return 1; };
  op.GetVariadicInputHomogeneity = op.GetVariadicOutputHomogeneity = [](Op) { return 1; };
  op.CreateKernelV2 = create_kernel;
  op.KernelComputeV2 = compute_kernel;
  op.KernelDestroy = [](void* kernel) { delete static_cast<Kernel*>(kernel); };
  op.GetStartVersion = op.GetEndVersion = [](Op) { return 1; };
  return op;
}

}  // namespace

/// ONNX Runtime's entry point of an operator library: SessionOptions.register_custom_ops_library (Python),
/// registerCustomOpLibrary (Java), or the address of this function where libraries are linked statically.
extern "C" __attribute__((visibility("default"))) OrtStatus* RegisterCustomOps(OrtSessionOptions* options,
                                                                               const OrtApiBase* base) {
  const OrtApi* api = base->GetApi(kApiVersion);
  if (!api) {
    const std::string version = base->GetVersionString();
    return base->GetApi(1)->CreateStatus(ORT_FAIL,
                                         ("libhqdit_ort needs ONNX Runtime 1.17 or newer, this is " + version).c_str());
  }
  // Sessions keep pointers to both, so they live as long as the process.
  static const OrtCustomOp op = make_op();
  static OrtCustomOpDomain* domain = nullptr;
  static std::mutex mutex;
  const std::lock_guard<std::mutex> lock(mutex);
  if (!domain) {
    OrtCustomOpDomain* created = nullptr;
    if (OrtStatus* status = api->CreateCustomOpDomain(kDomain, &created)) return status;
    if (OrtStatus* status = api->CustomOpDomain_Add(created, &op)) return status;
    domain = created;
  }
  return api->AddCustomOpDomain(options, domain);
}
