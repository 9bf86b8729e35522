// SPDX-License-Identifier: Apache-2.0
package hqdit.mobile

/**
 * What an opened model is. The defaults are the bundle's and stand for every null in a [GenerationRequest].
 *
 * @property target the platform it was exported for: "android", "ios" or "desktop"
 * @property labels the name of every class; its index is the label
 * @property nullLabel the label that stands for "no class"; null for a model that was trained without it and cannot be
 *     guided
 * @property hasPreview whether [GenerationRequest.previewInterval] may be set
 * @property schedulers what [GenerationRequest.scheduler] may be
 * @property defaultGuidanceInterval noise levels, within 0 (data) to 1 (noise), at which guidance is used
 * @property decodesTiled whether the memory limit made this model decode in tiles
 */
public class ModelInfo internal constructor(
    public val name: String,
    public val target: String,
    public val imageWidth: Int,
    public val imageHeight: Int,
    public val labels: List<String>,
    public val nullLabel: Int?,
    public val numTrainTimesteps: Int,
    public val hasPreview: Boolean,
    public val schedulers: List<Scheduler>,
    public val defaultScheduler: Scheduler,
    public val defaultSteps: Int,
    public val defaultGuidanceScale: Float,
    public val defaultGuidanceInterval: ClosedFloatingPointRange<Float>,
    public val decodesTiled: Boolean
) {
    private val search by lazy { LabelSearch(labels) }

    /** The classes that [name] means ([LabelSearch]): one where it is clear, several or none where it is not. */
    public fun findLabel(name: String): List<Int> = search.find(name)

    /** Up to five classes to offer where [findLabel] finds none, the nearest first. */
    public fun nearestLabels(name: String): List<Int> = search.nearest(name)

    internal companion object {
        fun read(handle: Long): ModelInfo {
            val whole = IntArray(10)
            val real = FloatArray(3)
            HqDitException.check(Native.info(handle, whole, real))
            val (width, height, classes, nullLabel, timesteps) = whole
            return ModelInfo(
                name = Native.name(handle).decodeToString(),
                target = Native.target(handle).decodeToString(),
                imageWidth = width,
                imageHeight = height,
                labels = List(classes) { Native.labelName(handle, it).decodeToString() },
                nullLabel = nullLabel.takeIf { it >= 0 },
                numTrainTimesteps = timesteps,
                hasPreview = whole[5] != 0,
                schedulers = Scheduler.entries.filter { whole[9] shr it.ordinal and 1 == 1 },
                defaultScheduler = Scheduler.entries[whole[6]],
                defaultSteps = whole[7],
                defaultGuidanceScale = real[0],
                defaultGuidanceInterval = real[1]..real[2],
                decodesTiled = whole[8] != 0
            )
        }
    }
}
