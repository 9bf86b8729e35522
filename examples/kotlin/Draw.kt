// SPDX-License-Identifier: Apache-2.0
// Draws one picture with a bundle. Apart from the pixels at the end this is the same on Android and on a desktop JVM.
package hqdit.mobile.examples

import hqdit.mobile.GenerationRequest
import hqdit.mobile.HqDit
import hqdit.mobile.HqDitException
import hqdit.mobile.OpenOptions
import hqdit.mobile.Picture
import java.io.File

/** A picture of the class [label], or null when [keepGoing] returned false before it was done. */
fun draw(bundle: File, label: String, seed: Long, keepGoing: (step: Int, steps: Int) -> Boolean): Picture? {
    val needed = HqDit.estimate(bundle).peakBytes
    // On Android ask ActivityManager.getMemoryInfo what is free instead.
    require(needed < MEMORY_LIMIT) { "the bundle needs $needed bytes of memory" }
    HqDit.open(bundle, OpenOptions(memoryLimitBytes = MEMORY_LIMIT)).use { model ->
        val index = model.info.labels.indexOf(label)
        require(index >= 0) { "the bundle has no class $label" }
        return try {
            val result = model.generate(GenerationRequest(index, seeds = listOf(seed))) { progress ->
                keepGoing(progress.step, progress.stepCount)
            }
            result.pictures.single()
        } catch (_: HqDitException.Cancelled) {
            null
        }
    }
}

private const val MEMORY_LIMIT = 2_000_000_000L
