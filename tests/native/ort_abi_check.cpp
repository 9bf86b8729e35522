// SPDX-License-Identifier: Apache-2.0
// Compiles only if export/bindings/ort_abi.h puts everything where ONNX Runtime's own header has it.
#include <onnxruntime_c_api.h>

#include <cstddef>

namespace ours {
#include "ort_abi.h"
}

#define SAME(type, member)                                                                     \
  static_assert(offsetof(ours::type, member) == offsetof(::type, member), #type "::" #member); \
  static_assert(sizeof(ours::type::member) == sizeof(::type::member), #type "::" #member)

SAME(OrtApiBase, GetApi);
SAME(OrtApiBase, GetVersionString);

SAME(OrtApi, CreateStatus);
SAME(OrtApi, CreateCustomOpDomain);
SAME(OrtApi, CustomOpDomain_Add);
SAME(OrtApi, AddCustomOpDomain);
SAME(OrtApi, GetTensorMutableData);
SAME(OrtApi, GetTensorElementType);
SAME(OrtApi, GetDimensionsCount);
SAME(OrtApi, GetDimensions);
SAME(OrtApi, GetTensorTypeAndShape);
SAME(OrtApi, KernelInfoGetAttribute_float);
SAME(OrtApi, KernelInfoGetAttribute_int64);
SAME(OrtApi, KernelContext_GetInputCount);
SAME(OrtApi, KernelContext_GetInput);
SAME(OrtApi, KernelContext_GetOutput);
SAME(OrtApi, ReleaseStatus);
SAME(OrtApi, ReleaseTensorTypeAndShapeInfo);
SAME(OrtApi, KernelInfo_GetNodeName);
SAME(OrtApi, KernelInfoGetConstantInput_tensor);
SAME(OrtApi, KernelContext_ParallelFor);

SAME(OrtCustomOp, version);
SAME(OrtCustomOp, GetName);
SAME(OrtCustomOp, GetExecutionProviderType);
SAME(OrtCustomOp, GetInputType);
SAME(OrtCustomOp, GetInputTypeCount);
SAME(OrtCustomOp, GetOutputType);
SAME(OrtCustomOp, GetOutputTypeCount);
SAME(OrtCustomOp, KernelDestroy);
SAME(OrtCustomOp, GetInputCharacteristic);
SAME(OrtCustomOp, GetOutputCharacteristic);
SAME(OrtCustomOp, GetInputMemoryType);
SAME(OrtCustomOp, GetVariadicInputMinArity);
SAME(OrtCustomOp, GetVariadicInputHomogeneity);
SAME(OrtCustomOp, GetVariadicOutputMinArity);
SAME(OrtCustomOp, GetVariadicOutputHomogeneity);
SAME(OrtCustomOp, CreateKernelV2);
SAME(OrtCustomOp, KernelComputeV2);
SAME(OrtCustomOp, InferOutputShapeFn);
SAME(OrtCustomOp, GetStartVersion);
SAME(OrtCustomOp, GetEndVersion);

// What follows the fields of our version is zero in the tables that we fill, so it must lie behind them.
static_assert(sizeof(ours::OrtCustomOp) <= sizeof(::OrtCustomOp), "OrtCustomOp");
static_assert(ours::ORT_FAIL == static_cast<int>(::ORT_FAIL) &&
                  ours::ORT_INVALID_ARGUMENT == static_cast<int>(::ORT_INVALID_ARGUMENT),
              "OrtErrorCode");
static_assert(ours::ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8 == static_cast<int>(::ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8),
              "ONNXTensorElementDataType");
