// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "json_fields.h"
#include "manifest.h"

namespace hqdit {

/// The manifest's "process", its default spacing and the number of guided channels, at most `channels` of them.
void read_process(JsonFields fields, int32_t channels, Manifest* manifest);

/// The same of schema 1: "scheduler", which says what diffusers' scheduler_config.json does, and "guidance".
void read_schedule(JsonFields scheduler, JsonFields guidance, int32_t channels, Manifest* manifest);

}  // namespace hqdit
