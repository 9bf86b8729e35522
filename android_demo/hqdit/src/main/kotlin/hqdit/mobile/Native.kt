// SPDX-License-Identifier: Apache-2.0
package hqdit.mobile

/**
 * hqdit.h, call by call; hqdit_jni.cpp has the other half. Text crosses as UTF-8 bytes, since JNI's own strings are
 * not UTF-8, and a path ends in a zero. A status is an hqdit_status, of which [lastError] tells more on the same thread.
 */
internal object Native {
    init {
        // A JVM that is not Android names the library file.
        val file = System.getProperty("hqdit.library")
        //noinspection UnsafeDynamicallyLoadedCode: on Android the property is not there
        if (file == null) System.loadLibrary("hqdit") else System.load(file)
    }

    @JvmStatic
    external fun version(): ByteArray

    @JvmStatic
    external fun lastError(): ByteArray

    /** [bytes]: weights, arena, peak, file, tiled peak. */
    @JvmStatic
    external fun estimate(bundle: ByteArray, bytes: LongArray): Int

    /** [publicKeys]: 32 bytes each. */
    @JvmStatic
    external fun open(
        bundle: ByteArray,
        memoryLimitBytes: Long,
        verifySha256: Boolean,
        threads: Int,
        loadMode: Int,
        publicKeys: ByteArray,
        handle: LongArray
    ): Int

    /** [names], each ending in a zero, and [descriptors] of the files of a bundle; the rest as [open]. */
    @JvmStatic
    external fun openFiles(
        names: ByteArray,
        descriptors: IntArray,
        memoryLimitBytes: Long,
        verifySha256: Boolean,
        threads: Int,
        loadMode: Int,
        publicKeys: ByteArray,
        handle: LongArray
    ): Int

    /** [bytes]: as [estimate]. */
    @JvmStatic
    external fun memory(handle: Long, bytes: LongArray): Int

    /** False while a call is running on the model. */
    @JvmStatic
    external fun close(handle: Long): Boolean

    /**
     * [whole]: image width, height, classes, null label or -1, training timesteps, has preview, scheduler, steps,
     * decodes tiled, schedulers by bit; [real]: guidance scale, low, high.
     */
    @JvmStatic
    external fun info(handle: Long, whole: IntArray, real: FloatArray): Int

    @JvmStatic
    external fun name(handle: Long): ByteArray

    @JvmStatic
    external fun target(handle: Long): ByteArray

    @JvmStatic
    external fun labelName(handle: Long, label: Int): ByteArray

    /** [totals]: evaluations, denoising, decoding and total milliseconds, peak memory in bytes. */
    @JvmStatic
    external fun generate(
        handle: Long,
        label: Int,
        seeds: LongArray,
        scheduler: Int,
        steps: Int,
        eta: Float,
        guidanceScale: Float,
        guidanceLow: Float,
        guidanceHigh: Float,
        previewInterval: Int,
        progress: ProgressRelay,
        rgb: ByteArray,
        totals: DoubleArray
    ): Int
}
