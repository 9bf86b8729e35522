// SPDX-License-Identifier: Apache-2.0
package hqdit.mobile

/** Hands the engine's reports to the caller's [listener], unless the generation is [cancelled]. */
internal class ProgressRelay(private val listener: ProgressListener, private val cancelled: () -> Boolean) {
    /** hqdit_progress_fn. The native side finds it by name: consumer-rules.pro keeps it. */
    fun onProgress(
        phase: Int,
        imageIndex: Int,
        imageCount: Int,
        step: Int,
        stepCount: Int,
        timestep: Int,
        guided: Boolean,
        stepMillis: Double,
        elapsedMillis: Double,
        peakMemoryBytes: Long,
        preview: ByteArray?,
        previewWidth: Int,
        previewHeight: Int
    ): Boolean {
        val progress = Progress(
            Progress.Phase.entries[phase],
            imageIndex,
            imageCount,
            step,
            stepCount,
            timestep,
            guided,
            stepMillis,
            elapsedMillis,
            peakMemoryBytes,
            preview?.let { Picture(previewWidth, previewHeight, it) }
        )
        return !cancelled() && listener.onProgress(progress) && !cancelled()
    }
}
