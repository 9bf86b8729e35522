// SPDX-License-Identifier: Apache-2.0
#include "sha256.h"

namespace hqdit {

template class Sha2<Words32>;

}  // namespace hqdit
