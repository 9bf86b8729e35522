// SPDX-License-Identifier: Apache-2.0
#pragma once

/// From now on all threads of this process can execute AMX's instructions for int8.
void emulate_amx();
