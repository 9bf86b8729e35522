// SPDX-License-Identifier: Apache-2.0
#include "step_vector_avx512.h"
// The vectors come first: the kernels are written over them.
#include "step_group_norm.h"
#include "step_head.h"
#include "step_head_int8.h"
#include "step_kernels.h"
#include "step_linear.h"

namespace hqdit {
const StepBackend kStepAvx512 = {
    "avx512vnni",    pack_head, attend,      {quantize_keys, quantize_values, softmax_int8},
    scale_rows,      norm_rows, gated_rows,  gelu_row,
    gelu_tile,       silu_row,  pack_weight, linear_rows,
    group_norm_group};
}
