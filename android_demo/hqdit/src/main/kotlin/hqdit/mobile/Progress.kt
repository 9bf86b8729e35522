// SPDX-License-Identifier: Apache-2.0
package hqdit.mobile

/** Hears of each step, on the thread that called [HqDit.generate]. */
public fun interface ProgressListener {
    /** Returns false to stop the generation. */
    public fun onProgress(progress: Progress): Boolean
}

/**
 * Where a generation stands.
 *
 * @property imageIndex which of the request's seeds, from 0
 * @property step steps done of this picture, from 1
 * @property timestep of the step just done, in training timesteps
 * @property guided whether that step evaluated the null label too
 * @property stepMillis time of that step; the first one also loads what it runs
 * @property elapsedMillis since the generation began
 * @property peakMemoryBytes highest resident memory of the process so far
 * @property preview the current guess at the finished picture, small; null when this step has none
 */
public class Progress internal constructor(
    public val phase: Phase,
    public val imageIndex: Int,
    public val imageCount: Int,
    public val step: Int,
    public val stepCount: Int,
    public val timestep: Int,
    public val guided: Boolean,
    public val stepMillis: Double,
    public val elapsedMillis: Double,
    public val peakMemoryBytes: Long,
    public val preview: Picture?
) {
    /** The order is that of hqdit_phase. */
    public enum class Phase {
        /** A denoising step is done. */
        STEP,

        /** All steps of a picture are done and its decoding begins. */
        DECODE
    }
}
