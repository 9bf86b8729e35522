/* SPDX-License-Identifier: Apache-2.0 */
/* Draws one picture with a bundle and writes it as PPM: draw BUNDLE LABEL SEED OUT.ppm

   cc draw.c -I export/sampler/include -L LIBRARIES -lhqdit -Wl,-rpath,LIBRARIES -o draw
   LIBRARIES is the folder that `python -c "import hqdit_mobile as h; print(h.__path__[-1] + '/lib')"` prints. */
#include <stdio.h>
#include <stdlib.h>

#include "hqdit.h"

/* The engine calls this after every step. Returning false would stop it. */
static bool show(const hqdit_progress* progress, void* user_data) {
  (void)user_data;
  if (progress->phase == HQDIT_PHASE_STEP) {
    fprintf(stderr, "step %d of %d, %.0f ms\n", (int)progress->step, (int)progress->step_count, progress->step_ms);
  }
  return true;
}

static int fail(const char* what) {
  fprintf(stderr, "%s: %s\n", what, hqdit_last_error());
  return 1;
}

static int write_ppm(const char* path, const uint8_t* rgb, int width, int height) {
  FILE* file = fopen(path, "wb");
  if (file == NULL) return 1;
  const size_t bytes = (size_t)width * (size_t)height * 3;
  const int bad = fprintf(file, "P6\n%d %d\n255\n", width, height) < 0 || fwrite(rgb, 1, bytes, file) != bytes;
  return fclose(file) != 0 || bad;
}

/* What to draw is known; the pipeline is open. */
static int draw(hqdit_pipeline* pipeline, int32_t label, uint64_t seed, const char* path) {
  hqdit_info info = {.struct_size = sizeof info};
  if (hqdit_get_info(pipeline, &info) != HQDIT_OK) return fail("hqdit_get_info");

  hqdit_request request; /* filled with the bundle's defaults: scheduler, steps, guidance */
  if (hqdit_request_init(pipeline, &request, sizeof request) != HQDIT_OK) return fail("hqdit_request_init");
  request.label = label;
  request.seeds = &seed;
  request.seed_count = 1;
  request.progress = show;

  hqdit_result result;
  hqdit_result_init(&result, sizeof result);
  result.rgb_bytes = (size_t)info.image_width * (size_t)info.image_height * 3;
  result.rgb = malloc(result.rgb_bytes);
  if (result.rgb == NULL) return 1;

  int bad = 0;
  if (hqdit_generate(pipeline, &request, &result) != HQDIT_OK) {
    bad = fail("hqdit_generate");
  } else if (write_ppm(path, result.rgb, info.image_width, info.image_height) != 0) {
    fprintf(stderr, "%s could not be written\n", path);
    bad = 1;
  }
  free(result.rgb);
  return bad;
}

int main(int argc, char** argv) {
  if (argc != 5) {
    fprintf(stderr, "usage: %s BUNDLE LABEL SEED OUT.ppm\n", argv[0]);
    return 2;
  }
  hqdit_memory memory = {.struct_size = sizeof memory};
  if (hqdit_estimate(argv[1], &memory) != HQDIT_OK) return fail("hqdit_estimate");
  fprintf(stderr, "needs about %.0f MB\n", (double)memory.peak_bytes / 1e6);

  hqdit_pipeline* pipeline = NULL;
  if (hqdit_open(argv[1], NULL, &pipeline) != HQDIT_OK) return fail("hqdit_open");
  int32_t label = 0;
  int bad = hqdit_find_label(pipeline, argv[2], &label) != HQDIT_OK
                ? fail("hqdit_find_label")
                : draw(pipeline, label, strtoull(argv[3], NULL, 10), argv[4]);
  if (hqdit_close(pipeline) != HQDIT_OK) bad = fail("hqdit_close");
  return bad;
}
