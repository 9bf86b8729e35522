/* SPDX-License-Identifier: Apache-2.0 */
/* Draws with a bundle through the C API. argv: bundle, label, seed, steps, memory limit; the RGB bytes go to stdout. */
#include <stdio.h>
#include <stdlib.h>

#include "hqdit.h"

static int fail(const char* call) {
  fprintf(stderr, "%s: %s\n", call, hqdit_last_error());
  return 1;
}

int main(int argc, char** argv) {
  if (argc != 6) return 2;
  hqdit_open_options options;
  hqdit_open_options_init(&options, sizeof options);
  options.memory_limit_bytes = strtoull(argv[5], NULL, 10);
  hqdit_pipeline* pipeline = NULL;
  if (hqdit_open(argv[1], &options, &pipeline) != HQDIT_OK) return fail("hqdit_open");
  hqdit_info info = {.struct_size = sizeof info};
  if (hqdit_get_info(pipeline, &info) != HQDIT_OK) return fail("hqdit_get_info");
  hqdit_request request;
  if (hqdit_request_init(pipeline, &request, sizeof request) != HQDIT_OK) return fail("hqdit_request_init");
  const uint64_t seed = strtoull(argv[3], NULL, 10);
  request.label = (int32_t)strtol(argv[2], NULL, 10);
  request.seeds = &seed;
  request.seed_count = 1;
  request.steps = (int32_t)strtol(argv[4], NULL, 10);
  hqdit_result result;
  hqdit_result_init(&result, sizeof result);
  result.rgb_bytes = (size_t)info.image_width * (size_t)info.image_height * 3;
  result.rgb = malloc(result.rgb_bytes);
  if (result.rgb == NULL) return 1;
  if (hqdit_generate(pipeline, &request, &result) != HQDIT_OK) return fail("hqdit_generate");
  const int written = fwrite(result.rgb, 1, result.rgb_bytes, stdout) == result.rgb_bytes;
  fprintf(stderr, "%d evaluations, %.1f ms a picture, decode %.1f ms\n", (int)result.evaluations, result.total_ms,
          result.decode_ms);
  free(result.rgb);
  return hqdit_close(pipeline) == HQDIT_OK && written ? 0 : 1;
}
