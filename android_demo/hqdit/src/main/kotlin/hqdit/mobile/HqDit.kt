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
public class HqDit internal constructor(private val engine: Engine) : AutoCloseable {
    /** What the model is and what it draws. */
    public val info: ModelInfo = engine.info

    /** What it needs, as [estimate] tells of a bundle that is not open. */
    public val memory: MemoryEstimate = engine.memory

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
            engine.close()
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
        val settled =
            request.copy(
                scheduler = request.scheduler ?: info.defaultScheduler,
                steps = request.steps ?: info.defaultSteps,
                guidanceScale = request.guidanceScale ?: info.defaultGuidanceScale,
                guidanceInterval = request.guidanceInterval ?: info.defaultGuidanceInterval
            )
        return engine.generate(settled, ProgressRelay(listener) { cancelled })
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
        public fun estimate(bundle: File): MemoryEstimate = LocalEngine.estimate(bundle)

        /**
         * Opens the folder [bundle]. Its files must not change until [close].
         *
         * @throws HqDitException with the engine's message
         */
        @JvmStatic
        @JvmOverloads
        public fun open(bundle: File, options: OpenOptions = OpenOptions()): HqDit =
            HqDit(LocalEngine.open(bundle, options))
    }
}
