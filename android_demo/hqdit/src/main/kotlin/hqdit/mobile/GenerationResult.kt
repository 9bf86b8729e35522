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
) {
    internal companion object {
        /** [rgb]: of all pictures, one after the other; [totals]: as Native.generate gives them. */
        fun of(info: ModelInfo, rgb: ByteArray, totals: DoubleArray): GenerationResult {
            val size = info.imageWidth * info.imageHeight * 3
            return GenerationResult(
                pictures = List(rgb.size / size) { index ->
                    Picture(info.imageWidth, info.imageHeight, rgb.copyOfRange(index * size, (index + 1) * size))
                },
                evaluations = totals[0].toInt(),
                denoiseMillis = totals[1],
                decodeMillis = totals[2],
                totalMillis = totals[3],
                peakMemoryBytes = totals[4].toLong()
            )
        }
    }
}
