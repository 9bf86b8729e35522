// SPDX-License-Identifier: Apache-2.0
// What this processor has and the operating system lets us use. All that a backend is compiled with belongs into its
// question.
#pragma once

namespace hqdit {

bool always();
#ifdef HQDIT_X86
bool has_avx2();        ///< and FMA
bool has_avxvnni();     ///< and BMI2
bool has_avx512vnni();  ///< and AVX-512 F, BW, VL, DQ, BMI2
bool has_avx512vbmi();  ///< and VNNI, GFNI
#endif
#ifdef HQDIT_AMX
bool has_amx();  ///< and VBMI
#endif
#ifdef HQDIT_ARM64
bool has_dotprod();
bool has_i8mm();  ///< and the dot product
#endif
#ifdef HQDIT_SME2
bool has_sme2();  ///< and the dot product; not where HQDIT_NO_SME=1 in the environment denies it
#endif

}  // namespace hqdit
