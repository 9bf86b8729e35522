// SPDX-License-Identifier: Apache-2.0
package hqdit.mobile

/**
 * What to draw. A null takes the bundle's default.
 *
 * @property label the class, or [ModelInfo.nullLabel] for a picture of no class
 * @property seeds one picture each; the bits count as an unsigned number. The same seed gives the same picture everywhere
 * @property steps denoising steps, 1 to [ModelInfo.numTrainTimesteps]
 * @property guidanceScale weight of the class; 1 is the plain model and needs half the work. A model without a
 *     [ModelInfo.nullLabel] has no other
 * @property scheduler one that the model's process has: [Scheduler.EULER] and [Scheduler.HEUN] are for flows
 * @property guidanceInterval noise levels, within 0 (data) to 1 (noise), at which guidance is used
 * @property eta DDIM only, and not of a flow: the share of fresh noise in each step, 0 (deterministic) to 1
 * @property previewInterval a preview after every n-th step and the last; 0 for none
 */
public data class GenerationRequest
@JvmOverloads
constructor(
    val label: Int,
    val seeds: List<Long>,
    val scheduler: Scheduler? = null,
    val steps: Int? = null,
    val guidanceScale: Float? = null,
    val guidanceInterval: ClosedFloatingPointRange<Float>? = null,
    val eta: Float = 0f,
    val previewInterval: Int = 0
)

/** How a step follows from what the network predicts. The order is that of hqdit_scheduler_kind. */
public enum class Scheduler {
    /** DDIM (Song et al. 2021). */
    DDIM,

    /** DPM-Solver++ 2M (Lu et al. 2022): fewer steps for the same picture. */
    DPM_SOLVER,

    /** Euler's method, for models of flow matching. */
    EULER,

    /** Heun's method, for models of flow matching: twice the work a step. */
    HEUN
}
