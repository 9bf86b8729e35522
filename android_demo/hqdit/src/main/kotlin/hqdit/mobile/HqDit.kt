// SPDX-License-Identifier: Apache-2.0
package hqdit.mobile

import java.io.File
import java.util.concurrent.locks.ReentrantLock
import kotlin.concurrent.withLock

/**
 * A Diffusion Transformer that draws on this device: an exported bundle, opened.
 *
 *     HqDit.open(bundle).use { model ->
 *         val result = model.generate(GenerationRequest(label = 12, seeds = listOf(7)))
 *         show(result.pictures.single())
 *     }
 *
 * Every call may come from any thread and blocks its caller, so keep them off the main thread. One model makes one
 * generation at a time and throws [HqDitException.Busy] to others; two models can work side by side.
 */
public class HqDit private constructor(
    private val handle: Long,
    /** What the model is and what it draws. */
    public val info: ModelInfo
) : AutoCloseable {
    private val lock = ReentrantLock()
    private val idle = lock.newCondition()
    private var worker: Thread? = null
    private var closed = false

    @Volatile
    private var cancelled = false

    /**
     * Draws one picture for each seed of [request]. [listener] hears of every step on the calling thread and stops the
     * generation by returning false; what it throws stops the generation and is thrown from here.
     *
     * @throws HqDitException.Cancelled after [cancel], or when the listener returned false
     * @throws HqDitException another kind, with the engine's message
     */
    @JvmOverloads
    public fun generate(
        request: GenerationRequest,
        listener: ProgressListener = ProgressListener { true }
    ): GenerationResult {
        begin()
        try {
            return draw(request, listener)
        } finally {
            lock.withLock {
                worker = null
                idle.signalAll()
            }
        }
    }

    /** Stops the generation that is running, if any, before its next step. Returns at once. */
    public fun cancel() {
        cancelled = true
    }

    /** Cancels a running generation, waits for it and frees the model. Closing twice is fine. */
    override fun close() {
        lock.withLock {
            check(worker !== Thread.currentThread()) {
                "a progress listener must not call close(); return false instead"
            }
            if (closed) return
            closed = true
            cancelled = true
            while (worker != null) idle.awaitUninterruptibly()
            check(Native.close(handle))
        }
    }

    private fun begin() {
        lock.withLock {
            check(!closed) { "this model is closed" }
            if (worker != null) throw HqDitException.Busy("another generation is running on this model")
            worker = Thread.currentThread()
            cancelled = false
        }
    }

    private fun draw(request: GenerationRequest, listener: ProgressListener): GenerationResult {
        val size = info.imageWidth * info.imageHeight * 3
        val rgb = ByteArray(Math.multiplyExact(request.seeds.size, size))
        val totals = DoubleArray(5)
        val interval = request.guidanceInterval ?: info.defaultGuidanceInterval
        val status =
            Native.generate(
                handle,
                request.label,
                request.seeds.toLongArray(),
                (request.scheduler ?: info.defaultScheduler).ordinal,
                request.steps ?: info.defaultSteps,
                request.eta,
                request.guidanceScale ?: info.defaultGuidanceScale,
                interval.start,
                interval.endInclusive,
                request.previewInterval,
                ProgressRelay(listener) { cancelled },
                rgb,
                totals
            )
        HqDitException.check(status)
        return GenerationResult(
            pictures = request.seeds.indices.map { index ->
                Picture(info.imageWidth, info.imageHeight, rgb.copyOfRange(index * size, (index + 1) * size))
            },
            evaluations = totals[0].toInt(),
            denoiseMillis = totals[1],
            decodeMillis = totals[2],
            totalMillis = totals[3],
            peakMemoryBytes = totals[4].toLong()
        )
    }

    public companion object {
        /** Version of the engine, "major.minor.patch". */
        @JvmStatic
        public val version: String get() = Native.version().decodeToString()

        /**
         * What [bundle] will need, from its manifest alone: nothing is loaded.
         *
         * @throws HqDitException.NotFound or [HqDitException.InvalidBundle]
         */
        @JvmStatic
        public fun estimate(bundle: File): MemoryEstimate {
            val bytes = LongArray(5)
            HqDitException.check(Native.estimate(cString(bundle.path), bytes))
            val (weights, arena, peak, file, tiledPeak) = bytes
            return MemoryEstimate(weights, arena, peak, file, tiledPeak)
        }

        /**
         * Opens the folder [bundle]. Its files must not change until [close].
         *
         * @throws HqDitException with the engine's message
         */
        @JvmStatic
        @JvmOverloads
        public fun open(bundle: File, options: OpenOptions = OpenOptions()): HqDit {
            val handle = LongArray(1)
            HqDitException.check(
                Native.open(
                    cString(bundle.path),
                    options.memoryLimitBytes,
                    options.verifySha256,
                    options.threads,
                    options.loadMode.ordinal,
                    options.keyBytes(),
                    handle
                )
            )
            try {
                return HqDit(handle[0], ModelInfo.read(handle[0]))
            } catch (error: Throwable) {
                Native.close(handle[0])
                throw error
            }
        }

        private fun cString(text: String): ByteArray {
            require('\u0000' !in text) { "a path must not hold a zero character" }
            return text.encodeToByteArray() + 0
        }
    }
}
