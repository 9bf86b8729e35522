// SPDX-License-Identifier: Apache-2.0
package hqdit.mobile.demo

import hqdit.mobile.GenerationRequest
import hqdit.mobile.HqDit
import hqdit.mobile.HqDitException
import hqdit.mobile.OpenOptions
import hqdit.mobile.Progress
import java.io.File
import java.io.IOException
import java.util.concurrent.Executor
import java.util.concurrent.ExecutorService

/**
 * The model and what it does, apart from any screen: an activity comes and goes with each rotation, this stays. Public
 * functions and [observer] belong to the main thread; [worker] has one thread, which alone touches the engine, save
 * for cancelling.
 */
class Studio(
    private val store: BundleStore,
    private val main: Executor,
    private val worker: ExecutorService,
    private val memory: PhoneMemory
) {
    var state = StudioState()
        private set
    var observer: ((StudioState) -> Unit)? = null

    /** What the phone's temperature allows. */
    @Volatile
    var pace = Pace.FULL
        set(value) {
            field = value
            val drawing = state.stage == Stage.DRAWING
            if (drawing && value == Pace.SLOW) update { copy(notice = Notice.Warm) }
            if (drawing && value == Pace.STOP) stop(Notice.TooHot)
        }

    /** Waits so many milliseconds. */
    var rest: (Double) -> Unit = { Thread.sleep(it.toLong()) }

    @Volatile
    private var engine: HqDit? = null

    /** Why the picture in the making shall not be finished; null while it shall. */
    @Volatile
    private var stopReason: Notice? = null

    fun load() = work { openModel() }

    fun import(source: BundleSource) {
        update { copy(stage = Stage.LOADING, notice = null) }
        work {
            closeEngine()
            try {
                store.import(source)
            } catch (error: RuntimeException) {
                // Another app's file provider failed.
                throw ImportException(error.message ?: error.toString())
            }
            openModel()
            main.execute { update { copy(finished = null, notice = Notice.Imported) } }
        }
    }

    fun draw(wish: Wish) {
        val model = state.model ?: return
        val label = model.catalog.label(wish.subject, wish.style) ?: return
        if (state.stage != Stage.READY) return
        if (pace == Pace.STOP) return update { copy(notice = Notice.TooHot) }
        stopReason = null
        val notice = if (pace == Pace.SLOW) Notice.Warm else null
        update { copy(stage = Stage.DRAWING, drawing = Drawing(wish), notice = notice) }
        val request =
            GenerationRequest(
                label = label,
                seeds = listOf(wish.seed),
                steps = wish.steps,
                guidanceScale = wish.guidanceScale,
                previewInterval = if (model.info.hasPreview) 1 else 0
            )
        work {
            val result = (engine ?: openEngine(checkNotNull(store.find()))).generate(request, ::onProgress)
            val finished =
                Finished(
                    wish = wish,
                    picture = result.pictures.single(),
                    millisPerStep = result.denoiseMillis / wish.steps,
                    totalMillis = result.totalMillis,
                    peakMemoryBytes = result.peakMemoryBytes
                )
            main.execute { update { copy(stage = Stage.READY, drawing = null, finished = finished, notice = null) } }
        }
    }

    fun cancel() = stop(Notice.Cancelled)

    /** Gives back the model's memory, and stops a picture in the making. The next picture loads the model again. */
    fun releaseMemory() {
        if (state.stage == Stage.DRAWING) stop(Notice.LowMemory)
        worker.execute(::closeEngine)
    }

    fun close() {
        observer = null
        engine?.cancel()
        worker.execute(::closeEngine)
        worker.shutdown()
    }

    private fun stop(reason: Notice) {
        if (state.stage != Stage.DRAWING) return
        stopReason = reason
        engine?.cancel()
    }

    private fun onProgress(progress: Progress): Boolean {
        main.execute {
            update {
                copy(
                    drawing =
                        drawing?.copy(
                            step = progress.step,
                            stepCount = progress.stepCount,
                            stepMillis = progress.stepMillis,
                            elapsedMillis = progress.elapsedMillis,
                            peakMemoryBytes = progress.peakMemoryBytes,
                            decoding = progress.phase == Progress.Phase.DECODE,
                            preview = progress.preview ?: drawing.preview
                        )
                )
            }
        }
        if (memory.isLow) {
            stopReason = Notice.LowMemory
            main.execute(::releaseMemory)
        }
        if (pace == Pace.SLOW) rest(progress.stepMillis)
        return stopReason == null
    }

    private fun openModel() {
        val bundle = store.find() ?: return main.execute { update { StudioState(Stage.NO_BUNDLE) } }
        val model = openEngine(bundle).run { LoadedModel(info, memory) }
        main.execute { update { copy(stage = Stage.READY, model = model, notice = null) } }
    }

    private fun openEngine(bundle: File): HqDit {
        val opened = store.open(bundle, OpenOptions(memoryLimitBytes = memory.spareBytes))
        engine = opened
        return opened
    }

    private fun closeEngine() {
        engine?.close()
        engine = null
    }

    /** Runs [task] on the worker; a failure it can tell the user about becomes a notice. */
    private fun work(task: () -> Unit) {
        worker.execute {
            try {
                task()
            } catch (error: HqDitException) {
                // The next picture gets a process of its own again.
                if (error is HqDitException.ProcessDied) closeEngine()
                fail(error)
            } catch (error: IOException) {
                fail(error)
            }
        }
    }

    private fun fail(error: Exception) = main.execute {
        val notice = if (error is HqDitException.Cancelled) stopReason else Notice.Problem(error.message.orEmpty())
        val stage = if (state.model == null) Stage.NO_BUNDLE else Stage.READY
        update { copy(stage = stage, drawing = null, notice = notice) }
    }

    private fun update(change: StudioState.() -> StudioState) {
        state = state.change()
        observer?.invoke(state)
    }
}
