// SPDX-License-Identifier: Apache-2.0
// ONNX Runtime's entry point: registers the operators of domain "hqdit". A registered kernel goes before the function
// body that our files carry.
#include <mutex>

#include "ort_float_ops.h"
#include "ort_fp4_linear.h"

namespace {

using namespace hqdit::ort;

// Sessions keep pointers to both, so they live as long as the process.
const OrtCustomOp kOperators[] = {
    custom_op<Fp4LinearOp>(),
    custom_op<Fp4LinearGeluOp>(),
    custom_op<AttentionOp<QkvAttention>>(),
    custom_op<AttentionOp<QkvAttentionInt8>>(),
    custom_op<ModulatedNormOp>(),
    custom_op<GatedAddOp>(),
    custom_op<ElementwiseOp<GeluTanh>>(),
    custom_op<ElementwiseOp<Silu>>(),
    custom_op<LinearOp>(),
    custom_op<TimestepEmbeddingOp>(),
};

OrtCustomOpDomain* domain(const OrtApi& api) {
  static OrtCustomOpDomain* instance = nullptr;
  static std::mutex mutex;
  const std::lock_guard<std::mutex> lock(mutex);
  if (instance) return instance;
  OrtCustomOpDomain* created = nullptr;
  check(api.CreateCustomOpDomain("hqdit", &created));
  for (const OrtCustomOp& op : kOperators) check(api.CustomOpDomain_Add(created, &op));
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
