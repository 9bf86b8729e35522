// SPDX-License-Identifier: Apache-2.0
// AVX-512 VNNI with VBMI, which looks bytes up anywhere in a register, and GFNI: less time for decoding and for one
// token, the rest is as without (avx512vnni.cpp).
#include "arch/x86/avx512_gemv.h"
#include "arch/x86/avx512vnni.h"
#include "arch/x86/simd_avx512.h"
#include "arch/x86/vbmi_decode.h"
#include "gemm/processor.h"

namespace hqdit {
namespace {

void decode_rhs_panel(const Fp4Weight& weight, int64_t block, int blocks, uint8_t* panel) {
  for (int b = 0; b < blocks; ++b) {
    decode_block<Operand::kRaisedBy128>(weight, block + b, [&](int64_t quad, int, __m512i w) {
      _mm512_storeu_si512(panel + (quad * blocks + b) * 64, w);
    });
  }
}

constexpr Backend make_backend() {
  Backend b = vnni_backend();
  b.name = "avx512vbmi";
  b.supported = has_avx512vbmi;
  b.decode_rhs_panel = decode_rhs_panel;
  b.gemv = gemv<GemvAvx512<PlaceInRow>>;
  return b;
}

}  // namespace

constexpr Backend kAvx512Vbmi = make_backend();
static_assert(is_complete(kAvx512Vbmi));

}  // namespace hqdit
