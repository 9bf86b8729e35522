// SPDX-License-Identifier: Apache-2.0
// ONNX Runtime's entry point: registers the operators of domain "hqdit". A registered kernel goes before the function
// body that our files carry.
#include <mutex>
#include <tuple>
#include <utility>
#include <vector>

#include "operators.h"
#include "ort_call.h"
#include "ort_fp4_linear.h"

namespace {

using namespace hqdit::ort;

/// Where an argument of the type T comes from: an attribute, read when the node is made, or the next input.
template <class T>
struct Source;

template <>
struct Source<int64_t> {
  int64_t value = 0;
  void prepare(const Node& node, const OrtKernelInfo* info, const char* name, size_t*) {
    value = node.integer(info, name);
  }
  int64_t get(const Call&) const { return value; }
};

template <>
struct Source<double> {
  double value = 0;
  void prepare(const Node& node, const OrtKernelInfo* info, const char* name, size_t*) {
    value = static_cast<double>(node.real(info, name));
  }
  double get(const Call&) const { return value; }
};

template <>
struct Source<const hqdit::View&> {
  size_t index = 0;
  void prepare(const Node&, const OrtKernelInfo*, const char*, size_t* inputs) { index = (*inputs)++; }
  hqdit::View get(const Call& call) const { return call.input(index); }
};

/// ONNX passes what torch may leave out: the exporter writes what changes no bit.
template <>
struct Source<const hqdit::View*> : Source<const hqdit::View&> {
  struct Held {
    hqdit::View view;
    operator const hqdit::View*() const { return &view; }
  };
  Held get(const Call& call) const { return {call.input(index)}; }
};

template <class Op, class Function>
struct OperatorNode;

template <class Op, class... Arguments>
struct OperatorNode<Op, bool (*)(hqdit::Host&, Arguments...)> {
  static constexpr const char* kName = Op::kOnnx;
  static constexpr size_t kInputs =
      ((std::is_same_v<Arguments, const hqdit::View&> || std::is_same_v<Arguments, const hqdit::View*>)+...);
  static bool is_bytes(size_t) { return false; }

  OperatorNode(const OrtApi& api, const OrtKernelInfo* info) : node(api, info, kName) {
    prepare(info, std::index_sequence_for<Arguments...>());
  }
  void compute(OrtKernelContext* context) { compute(context, std::index_sequence_for<Arguments...>()); }

  Node node;

 private:
  template <size_t... kIndex>
  void prepare(const OrtKernelInfo* info, std::index_sequence<kIndex...>) {
    size_t inputs = 0;
    (std::get<kIndex>(sources_).prepare(node, info, Op::kArguments[kIndex], &inputs), ...);
  }

  template <size_t... kIndex>
  void compute(OrtKernelContext* context, std::index_sequence<kIndex...>) {
    Call call(node, context);
    Op::run(call, std::get<kIndex>(sources_).get(call)...);
  }

  std::tuple<Source<Arguments>...> sources_;
};

template <class Op, class = void>
struct InOnnx : std::false_type {};
template <class Op>
struct InOnnx<Op, std::void_t<decltype(Op::kOnnx)>> : std::true_type {};

struct AddIfInOnnx {
  template <class Op>
  static void one(std::vector<OrtCustomOp>& operators) {
    if constexpr (InOnnx<Op>::value) operators.push_back(custom_op<OperatorNode<Op, decltype(&Op::run)>>());
  }
};

/// Sessions keep pointers to them, so they live as long as the process.
const std::vector<OrtCustomOp>& operators() {
  static const std::vector<OrtCustomOp>* const made = [] {
    auto* all = new std::vector<OrtCustomOp>{custom_op<Fp4LinearOp>(), custom_op<Fp4LinearGeluOp>()};
    hqdit::ops::for_each(AddIfInOnnx(), *all);
    return all;
  }();
  return *made;
}

OrtCustomOpDomain* domain(const OrtApi& api) {
  static OrtCustomOpDomain* instance = nullptr;
  static std::mutex mutex;
  const std::lock_guard<std::mutex> lock(mutex);
  if (instance) return instance;
  OrtCustomOpDomain* created = nullptr;
  check(api.CreateCustomOpDomain("hqdit", &created));
  for (const OrtCustomOp& op : operators()) check(api.CustomOpDomain_Add(created, &op));
  return instance = created;
}

}  // namespace

/// SessionOptions.register_custom_ops_library (Python) and registerCustomOpLibrary (Java) look for this name; where
/// libraries are linked statically, give its address.
extern "C" __attribute__((visibility("default"))) OrtStatus* RegisterCustomOps(OrtSessionOptions* options,
                                                                               const OrtApiBase* base) {
  const OrtApi* api = base->GetApi(kApiVersion);
  if (!api) {
    const std::string text =
        std::string("libhqdit_ort needs ONNX Runtime 1.17 or newer, this is ") + base->GetVersionString();
    return base->GetApi(1)->CreateStatus(ORT_FAIL, text.c_str());
  }
  return guarded(*api, [&] { check(api->AddCustomOpDomain(options, domain(*api))); });
}
