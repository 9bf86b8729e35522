// SPDX-License-Identifier: Apache-2.0
#include "ort_call.h"

#include <algorithm>
#include <exception>
#include <stdexcept>
#include <thread>

#include "thread_scratch.h"

namespace hqdit::ort {
namespace {

constexpr char kRepair[] = "export the model again with the hqdit-mobile release that this library belongs to";

std::string node_name(const OrtApi& api, const OrtKernelInfo* info) {
  size_t size = 0;
  // With a null pointer it only says the size, zero included.
  check(api.KernelInfo_GetNodeName(info, nullptr, &size));
  std::string name(size, '\0');
  check(api.KernelInfo_GetNodeName(info, &name[0], &size));
  name.resize(size > 0 ? size - 1 : 0);
  return name;
}

Element element_of(ONNXTensorElementDataType type) {
  if (type == ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT) return Element::kFloat;
  return type == ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8 ? Element::kByte : Element::kOther;
}

/// Type and sizes of a tensor, without its data.
View describe(const OrtApi& api, const OrtValue* value) {
  OrtTensorTypeAndShapeInfo* info = nullptr;
  check(api.GetTensorTypeAndShape(value, &info));
  View view;
  ONNXTensorElementDataType type{};
  OrtStatus* status = api.GetDimensionsCount(info, &view.rank);
  if (!status && view.rank > View::kMaxRank) status = api.CreateStatus(ORT_FAIL, "hqdit: a tensor has over 8 sizes");
  if (!status) status = api.GetDimensions(info, view.dims, view.rank);
  if (!status) status = api.GetTensorElementType(info, &type);
  api.ReleaseTensorTypeAndShapeInfo(info);
  check(status);
  view.element = element_of(type);
  return view;
}

}  // namespace

Node::Node(const OrtApi& api, const OrtKernelInfo* info, const char* op_name)
    : api_(api), op_(op_name), name_(node_name(api, info)) {}

void Node::fail(const std::string& what) const {
  const std::string text = "hqdit." + op_ + " node '" + name_ + "': " + what + "; " + kRepair;
  throw Failure{api_.CreateStatus(ORT_INVALID_ARGUMENT, text.c_str())};
}

int64_t Node::integer(const OrtKernelInfo* info, const char* attribute) const {
  int64_t value = 0;
  if (OrtStatus* status = api_.KernelInfoGetAttribute_int64(info, attribute, &value)) {
    api_.ReleaseStatus(status);
    fail(std::string("attribute '") + attribute + "' is missing or no integer");
  }
  return value;
}

float Node::real(const OrtKernelInfo* info, const char* attribute) const {
  float value = 0;
  if (OrtStatus* status = api_.KernelInfoGetAttribute_float(info, attribute, &value)) {
    api_.ReleaseStatus(status);
    fail(std::string("attribute '") + attribute + "' is missing or no float");
  }
  return value;
}

int64_t Node::constant_count(const OrtKernelInfo* info, size_t index, const char* input) const {
  int constant = 0;
  const OrtValue* value = nullptr;
  check(api_.KernelInfoGetConstantInput_tensor(info, index, &constant, &value));
  if (!constant) fail(std::string("input '") + input + "' must be an initializer");
  return describe(api_, value).count();
}

View Call::input(size_t index) const {
  const OrtValue* value = nullptr;
  void* data = nullptr;
  size_t count = 0;
  check(api_.KernelContext_GetInputCount(context_, &count));
  if (index < count) check(api_.KernelContext_GetInput(context_, index, &value));
  if (value == nullptr) node_.fail("input " + std::to_string(index) + " is missing");
  // There is no function for reading only.
  check(api_.GetTensorMutableData(const_cast<OrtValue*>(value), &data));
  View view = describe(api_, value);
  view.data = data;
  return view;
}

bool Call::output(const int64_t* dims, size_t rank, float** result) {
  OrtValue* value = nullptr;
  void* data = nullptr;
  check(api_.KernelContext_GetOutput(context_, 0, dims, rank, &value));
  check(api_.GetTensorMutableData(value, &data));
  *result = static_cast<float*>(data);
  return true;
}

void Call::run_units(void* call, int64_t count, void (*fn)(void*, int64_t, int64_t), void* arg) {
  struct Units {
    void (*fn)(void*, int64_t, int64_t);
    void* arg;
  } units{fn, arg};
  const auto one = [](void* data, size_t index) {
    const Units& u = *static_cast<const Units*>(data);
    u.fn(u.arg, static_cast<int64_t>(index), static_cast<int64_t>(index) + 1);
  };
  const Call& self = *static_cast<const Call*>(call);
  OrtStatus* status = self.api_.KernelContext_ParallelFor(self.context_, one, static_cast<size_t>(count), 0, &units);
  if (!status) return;
  // It refuses only before it starts.
  self.api_.ReleaseStatus(status);
  fn(arg, 0, count);
}

ParallelFor Call::parallel() {
  // The session's thread count is not to be had; units that find no thread run after the others.
  return {run_units, this, static_cast<int32_t>(std::max(1u, std::thread::hardware_concurrency()))};
}

void* Call::scratch(size_t bytes) {
  void* memory = thread_scratch(bytes);
  if (!memory) {
    throw std::runtime_error("hqdit: no memory for " + std::to_string(bytes) +
                             " bytes of workspace; close other programs or use a smaller batch");
  }
  return memory;
}

OrtStatus* guarded_call(const OrtApi& api, void (*work)(void*), void* data) {
  try {
    work(data);
    return nullptr;
  } catch (const Failure& failure) {
    return failure.status;
  } catch (const std::exception& error) {
    return api.CreateStatus(ORT_FAIL, error.what());
  }
}

}  // namespace hqdit::ort
