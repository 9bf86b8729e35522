// SPDX-License-Identifier: Apache-2.0
package hqdit.mobile

/**
 * How to open a bundle.
 *
 * @property memoryLimitBytes decode in tiles if the bundle's [MemoryEstimate.peakBytes] is higher, which takes longer;
 *   refuse it, before loading, if [MemoryEstimate.tiledPeakBytes] is higher, too; 0 for no limit
 * @property verifySha256 compare each file with the manifest's hash first (about 2 ms per MB); sizes always are
 * @property threads 0: one for each performance core; 1: the calling thread alone; more: that many in the process
 * @property publicKeys one of these must have signed the bundle, each 64 hexadecimal digits, as "hqdit sign" prints; none
 *   asks for no signature. Needs [verifySha256]
 */
public data class OpenOptions
@JvmOverloads
constructor(
    val memoryLimitBytes: Long = 0,
    val verifySha256: Boolean = true,
    val threads: Int = 0,
    val loadMode: LoadMode = LoadMode.MMAP,
    val publicKeys: List<String> = emptyList()
) {
    /** The keys' bytes, one after the other. */
    internal fun keyBytes(): ByteArray = publicKeys.flatMap { key ->
        if (!KEY.matches(key)) {
            throw HqDitException.InvalidArgument("\"$key\" is no public key: it takes 64 hexadecimal digits")
        }
        key.chunked(2) { it.toString().toInt(16).toByte() }
    }.toByteArray()

    private companion object {
        val KEY = Regex("[0-9a-fA-F]{64}")
    }
}

/** How the weights get into memory. The order is that of hqdit_load_mode. */
public enum class LoadMode {
    /** Map the files: fast to open, and the system can drop clean pages. */
    MMAP,

    /** Read the files: for storage that cannot be mapped. */
    READ
}

/**
 * What a bundle needs, known before it is loaded.
 *
 * @property weightsBytes constant data of all model files
 * @property arenaBytes activations
 * @property peakBytes the most that drawing one picture is expected to hold, measured at export
 * @property fileBytes size of the model files on disk
 * @property tiledPeakBytes [peakBytes] with pictures decoded in tiles; 0 for a bundle that would save nothing by it
 */
public data class MemoryEstimate(
    val weightsBytes: Long,
    val arenaBytes: Long,
    val peakBytes: Long,
    val fileBytes: Long,
    val tiledPeakBytes: Long
)
