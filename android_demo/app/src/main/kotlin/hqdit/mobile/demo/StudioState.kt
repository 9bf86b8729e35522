// SPDX-License-Identifier: Apache-2.0
package hqdit.mobile.demo

import hqdit.mobile.MemoryEstimate
import hqdit.mobile.ModelInfo
import hqdit.mobile.Picture

/** All that the screen shows besides the user's own choices. */
data class StudioState(
    val stage: Stage = Stage.LOADING,
    val model: LoadedModel? = null,
    val drawing: Drawing? = null,
    val finished: Finished? = null,
    val notice: Notice? = null
)

enum class Stage { LOADING, NO_BUNDLE, READY, DRAWING }

class LoadedModel(val info: ModelInfo, val memory: MemoryEstimate) {
    val catalog = LabelCatalog(info.labels)
}

/** The user's choices. The style is null for models whose labels have none. */
data class Wish(val subject: String, val style: String?, val seed: Long, val steps: Int, val guidanceScale: Float)

/** A picture in the making; the preview is null until the first one. */
data class Drawing(
    val wish: Wish,
    val step: Int = 0,
    val stepCount: Int = wish.steps,
    val stepMillis: Double = 0.0,
    val elapsedMillis: Double = 0.0,
    val peakMemoryBytes: Long = 0,
    val decoding: Boolean = false,
    val preview: Picture? = null
)

data class Finished(
    val wish: Wish,
    val picture: Picture,
    val millisPerStep: Double,
    val totalMillis: Double,
    val peakMemoryBytes: Long
)

/** A word to the user. */
sealed interface Notice {
    data class Problem(val message: String) : Notice

    data object Cancelled : Notice

    data object Imported : Notice

    data object Warm : Notice

    data object TooHot : Notice

    data object LowMemory : Notice
}
