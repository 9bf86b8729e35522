// SPDX-License-Identifier: Apache-2.0
package hqdit.mobile

/**
 * A finished generation. The times are sums over all pictures.
 *
 * @property pictures one for each seed, in order
 * @property evaluations how often the network ran; a guided step counts twice
 * @property peakMemoryBytes highest resident memory of the process
 */
public class GenerationResult internal constructor(
    public val pictures: List<Picture>,
    public val evaluations: Int,
    public val denoiseMillis: Double,
    public val decodeMillis: Double,
    public val totalMillis: Double,
    public val peakMemoryBytes: Long
)
