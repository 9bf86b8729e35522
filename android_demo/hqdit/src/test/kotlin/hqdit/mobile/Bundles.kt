// SPDX-License-Identifier: Apache-2.0
package hqdit.mobile

import java.io.File

/** The bundle of tests/tiny_model.py: 5 classes, pictures of 16 x 16, latents of 8 x 8, 10 steps at guidance 3. */
internal val tiny = File(System.getProperty("hqdit.tiny"))

/** Where tests leave what the Python side compares. */
internal val output = File(System.getProperty("hqdit.output"))

internal fun openTiny(): HqDit = HqDit.open(tiny, OpenOptions(threads = 1))

internal fun request(seed: Long = 7, steps: Int? = null, previewInterval: Int = 0) =
    GenerationRequest(label = 2, seeds = listOf(seed), steps = steps, previewInterval = previewInterval)

internal fun HqDit.draw(request: GenerationRequest): ByteArray = generate(request).pictures.single().rgb
