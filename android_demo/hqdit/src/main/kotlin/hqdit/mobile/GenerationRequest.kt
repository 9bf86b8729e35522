// SPDX-License-Identifier: Apache-2.0
package hqdit.mobile

/**
 * What to draw. A null takes the bundle's default.
 *
 * @property label the class, or [ModelInfo.nullLabel] for a picture of no class
 * @property seeds one picture each; the bits count as an unsigned number. The same seed gives the same picture everywhere
 * @property steps denoising steps, 1 to [ModelInfo.numTrainTimesteps]
 * @property guidanceScale weight of the class; 1 is the plain model and needs half the work
 * @property guidanceInterval share of the training timesteps, within 0 to 1, in which guidance is used
 * @property eta DDIM only: the share of fresh noise in each step, 0 (deterministic) to 1
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

/** How a step follows from the predicted noise. The order is that of hqdit_scheduler_kind. */
public enum class Scheduler {
    /** DDIM (Song et al. 2021). */
    DDIM,

    /** DPM-Solver++ 2M (Lu et al. 2022): fewer steps for the same picture. */
    DPM_SOLVER
}
