// SPDX-License-Identifier: Apache-2.0
// Registers our operators with ExecuTorch, straight on its boxed calls: a program's arguments are counted and their
// types looked at before any is read.
#include <executorch/runtime/core/event_tracer_hooks.h>
#include <executorch/runtime/core/exec_aten/util/tensor_util.h>
#include <executorch/runtime/kernel/kernel_includes.h>
#include <executorch/runtime/kernel/operator_registry.h>

#include <cstring>
#include <limits>
#include <mutex>
#include <tuple>
#include <utility>

#include "c_api.h"
#include "executorch_threads.h"
#include "operators.h"
#include "thread_scratch.h"

namespace {

using executorch::aten::ScalarType;
using executorch::aten::SizesType;
using executorch::aten::Tensor;
using executorch::runtime::Error;
using executorch::runtime::EValue;
using executorch::runtime::KernelRuntimeContext;
using executorch::runtime::Span;
using hqdit::Element;
using hqdit::View;

constexpr char kRepair[] = "export the model again with the hqdit-mobile release that this library belongs to";

/// One call of an operator.
class ExecutorchHost final : public hqdit::Host {
 public:
  ExecutorchHost(const char* op, Tensor& out) : op_(op), out_(out) {}

  bool output(const int64_t* dims, size_t rank, float** data) override {
    SizesType sizes[View::kMaxRank];
    for (size_t i = 0; i < rank; ++i) {
      if (dims[i] > std::numeric_limits<SizesType>::max()) return refuse("out has a size beyond 2^31");
      sizes[i] = static_cast<SizesType>(dims[i]);
    }
    if (out_.scalar_type() != ScalarType::Float ||
        executorch::runtime::resize_tensor(out_, {sizes, rank}) != Error::Ok ||
        !executorch::runtime::tensor_is_default_dim_order(out_)) {
      return refuse("out is not contiguous float32, or cannot take the shape of the result");
    }
    if (!hqdit::readable(out_.const_data_ptr(), out_.numel(), sizeof(float))) {
      return refuse("out has no data, or none that is aligned");
    }
    *data = out_.mutable_data_ptr<float>();
    return true;
  }

  void* scratch(size_t bytes) override {
    void* memory = hqdit::thread_scratch(bytes);
    if (memory == nullptr) {
      ET_LOG(Error, "%s: no memory for %zu bytes of workspace; close other apps or use a smaller batch", op_, bytes);
      error_ = Error::MemoryAllocationFailed;
    }
    return memory;
  }

  hqdit::ParallelFor parallel() override { return hqdit::thread_pool(std::numeric_limits<int64_t>::max()); }

  bool refuse(const char* problem) override {
    ET_LOG(Error, "%s: %s; %s", op_, problem, kRepair);
    return false;
  }

  Error error() const { return error_; }

 private:
  const char* op_;
  Tensor& out_;
  Error error_ = Error::InvalidArgument;
};

/// nullptr, or what is wrong with the value. Whether its elements can be read is the operator's to look.
const char* read_tensor(const EValue& value, View* view) {
  if (!value.isTensor()) return "is no tensor";
  const Tensor& tensor = value.toTensor();
  const auto rank = static_cast<size_t>(tensor.dim());
  if (rank > View::kMaxRank || !executorch::runtime::tensor_is_default_dim_order(tensor)) return "is not contiguous";
  view->rank = rank;
  for (size_t i = 0; i < rank; ++i) view->dims[i] = tensor.size(static_cast<ssize_t>(i));
  view->element = tensor.scalar_type() == ScalarType::Float  ? Element::kFloat
                  : tensor.scalar_type() == ScalarType::Byte ? Element::kByte
                                                             : Element::kOther;
  view->data = tensor.const_data_ptr();
  return nullptr;
}

/// What holds an argument of the type T during a call. `read` returns nullptr, or what is wrong with the value.
template <class T>
struct Argument;

template <>
struct Argument<const View&> {
  View view;
  const char* read(const EValue& value) { return read_tensor(value, &view); }
  const View& get() const { return view; }
};

template <>
struct Argument<const View*> {
  View view;
  bool given = false;
  const char* read(const EValue& value) {
    given = !value.isNone();
    return given ? read_tensor(value, &view) : nullptr;
  }
  const View* get() const { return given ? &view : nullptr; }
};

template <>
struct Argument<int64_t> {
  int64_t number = 0;
  const char* read(const EValue& value) {
    if (!value.isInt()) return "is no integer";
    number = value.toInt();
    return nullptr;
  }
  int64_t get() const { return number; }
};

template <>
struct Argument<double> {
  double number = 0;
  const char* read(const EValue& value) {
    if (!value.isDouble()) return "is no float";
    number = value.toDouble();
    return nullptr;
  }
  double get() const { return number; }
};

template <>
struct Argument<bool> {
  bool truth = false;
  const char* read(const EValue& value) {
    if (!value.isBool()) return "is no bool";
    truth = value.toBool();
    return nullptr;
  }
  bool get() const { return truth; }
};

template <>
struct Argument<std::string_view> {
  std::string_view text;
  const char* read(const EValue& value) {
    const auto found = value.tryToString();
    if (!found.ok()) return "is no text";
    text = found.get();
    return nullptr;
  }
  std::string_view get() const { return text; }
};

template <class Op, class... Arguments, size_t... kIndex>
void run(KernelRuntimeContext& context, Span<EValue*> values, bool (*)(hqdit::Host&, Arguments...),
         std::index_sequence<kIndex...>) {
  constexpr size_t kCount = sizeof...(Arguments);
  // Behind the arguments come out and the result, which is out again.
  if (values.size() != kCount + 2) {
    ET_LOG(Error, "%s: a call has %zu arguments instead of %zu; %s", Op::kName, values.size(), kCount + 2, kRepair);
    return context.fail(Error::InvalidProgram);
  }
  const executorch::runtime::internal::EventTracerProfileOpScope scope(context.internal_event_tracer(), Op::kName);
  std::tuple<Argument<Arguments>...> arguments;
  const char* problem = nullptr;
  size_t at = 0;
  // Stops at the first that is wrong.
  static_cast<void>(
      ((problem = std::get<kIndex>(arguments).read(*values[kIndex]), at = kIndex, problem == nullptr) && ...));
  if (problem == nullptr && !values[kCount]->isTensor()) {
    problem = "is no tensor";
    at = kCount;
  }
  if (problem != nullptr) {
    ET_LOG(Error, "%s: argument %zu %s; %s", Op::kName, at, problem, kRepair);
    return context.fail(Error::InvalidArgument);
  }
  ExecutorchHost host(Op::kName, values[kCount]->toTensor());
  if (!Op::run(host, std::get<kIndex>(arguments).get()...)) context.fail(host.error());
}

template <class Op>
void call(KernelRuntimeContext& context, Span<EValue*> values) {
  using Known = hqdit::Signature<decltype(&Op::run)>;
  run<Op>(context, values, &Op::run, std::make_index_sequence<Known::kCount>());
}

/// Registering a name twice would end the process.
struct RegisterUnlessKnown {
  template <class Op>
  static void one() {
    for (const auto& known : executorch::runtime::get_registered_kernels()) {
      if (std::strcmp(known.name_, Op::kName) == 0) return;
    }
    static_cast<void>(executorch::runtime::register_kernel(executorch::runtime::Kernel(Op::kName, call<Op>)));
  }
};

}  // namespace

void hqdit_register_ops(void) {
  static std::once_flag once;
  std::call_once(once, [] { hqdit::ops::for_each(RegisterUnlessKnown()); });
}

#ifdef HQDIT_REGISTER_AT_LOAD
namespace {
const bool registered_at_load = (hqdit_register_ops(), true);
}
#endif
