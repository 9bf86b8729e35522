// SPDX-License-Identifier: Apache-2.0
// The system's zlib, which has no module of the same name on all systems.
#include <zlib.h>
