// SPDX-License-Identifier: Apache-2.0
#include "sha512.h"

namespace hqdit {

template class Sha2<Words64>;

}  // namespace hqdit
