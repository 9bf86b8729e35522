// SPDX-License-Identifier: Apache-2.0
#include "arch/x86/float_vector_avx2.h"
// The vectors come first: the kernels are written over them.
#include "float_ops/group_norm.h"
#include "float_ops/head.h"
#include "float_ops/head_int8.h"
#include "float_ops/kernels.h"
#include "float_ops/linear.h"

namespace hqdit {
const FloatBackend kStepAvx2 = {"avx2",          pack_head, attend,      {quantize_keys, quantize_values, softmax_int8},
                                scale_rows,      norm_rows, gated_rows,  gelu_row,
                                gelu_tile,       silu_row,  pack_weight, linear_rows,
                                group_norm_group};
}
