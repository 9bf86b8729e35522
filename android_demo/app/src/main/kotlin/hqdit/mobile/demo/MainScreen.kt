// SPDX-License-Identifier: Apache-2.0
package hqdit.mobile.demo

import android.annotation.SuppressLint
import android.app.Activity
import android.text.format.Formatter
import android.view.View
import android.widget.Button
import android.widget.EditText
import android.widget.ImageView
import android.widget.ProgressBar
import android.widget.SeekBar
import android.widget.TextView
import hqdit.mobile.Picture
import java.util.Locale
import kotlin.math.roundToInt

/** The views of R.layout.main: shows a [StudioState], keeps the user's [choices], tells of taps. */
class MainScreen(
    private val activity: Activity,
    val choices: Choices,
    private val onDraw: (Wish) -> Unit,
    private val onCancel: () -> Unit,
    onImport: () -> Unit,
    private val onSave: (Finished) -> Unit,
    private val onShare: (Finished) -> Unit
) {
    private val subtitle = find<TextView>(R.id.subtitle)
    private val picture = find<ImageView>(R.id.picture)
    private val placeholder = find<TextView>(R.id.placeholder)
    private val progress = find<ProgressBar>(R.id.progress)
    private val status = find<TextView>(R.id.status)
    private val figures = find<View>(R.id.figures)
    private val seed = find<EditText>(R.id.seed)
    private val steps = find<SeekBar>(R.id.steps)
    private val guidance = find<SeekBar>(R.id.guidance)
    private val draw = find<Button>(R.id.draw)
    private val save = find<View>(R.id.save)
    private val share = find<View>(R.id.share)
    private val controls = find<View>(R.id.controls)
    private val subject = SubjectPicker(find(R.id.subject)) { choose(it, choices.style) }
    private val styles = StyleChips(find(R.id.styles)) { choose(choices.subject, it) }
    private var shown = StudioState()
    private var picked: Picture? = null

    init {
        for ((id, caption) in CAPTIONS) figure(id).child<TextView>(R.id.caption).setText(caption)
        find<View>(R.id.import_bundle).setOnClickListener { onImport() }
        find<View>(R.id.shuffle).setOnClickListener {
            choices.shuffleSeed()
            showSeed()
        }
        showSeed()
        seed.afterTextChanged { text -> text.toLongOrNull()?.let { choices.seed = it } }
        steps.onUserChange { choices.steps = it + 1 }
        guidance.onUserChange { choices.guidanceScale = 1 + it * GUIDANCE_STEP }
        draw.setOnClickListener { if (shown.stage == Stage.DRAWING) onCancel() else wish()?.let(onDraw) }
        save.setOnClickListener { shown.finished?.let(onSave) }
        share.setOnClickListener { shown.finished?.let(onShare) }
    }

    @SuppressLint("SetTextI18n") // the field takes no digits but ASCII's
    private fun showSeed() = seed.setText(choices.seed.toString())

    fun render(state: StudioState) {
        val newModel = state.model !== shown.model
        shown = state
        if (newModel) state.model?.let(::showModel)
        showControls(state)
        showPicture(state)
        status.text = statusText(state)
        showFigures(state)
    }

    private fun showModel(model: LoadedModel) {
        val info = model.info
        val memory = model.memory
        subtitle.text = activity.getString(R.string.subtitle, info.name, size(memory.fileBytes), size(memory.peakBytes))
        steps.max = minOf(MAX_STEPS, info.numTrainTimesteps) - 1
        for (slider in listOf(steps, guidance)) slider.keyProgressIncrement = 1
        steps.progress = (choices.steps ?: info.defaultSteps) - 1
        guidance.progress = (((choices.guidanceScale ?: info.defaultGuidanceScale) - 1) / GUIDANCE_STEP).roundToInt()
        find<View>(R.id.guidance_group).visibility = visibleIf(info.nullLabel != null)
        showSliders()
        choose(choices.subject, choices.style)
    }

    /** Shows the nearest pair of subject and style that the model has. */
    private fun choose(wantedSubject: String?, wantedStyle: String?) {
        val catalog = shown.model?.catalog ?: return
        val subjectName = wantedSubject.takeIf { it in catalog.subjects } ?: catalog.subjects.first()
        val available = catalog.stylesOf(subjectName)
        choices.subject = subjectName
        choices.style = wantedStyle.takeIf { it in available } ?: available.firstOrNull()
        subject.show(catalog.subjects, subjectName)
        styles.show(available, choices.style)
        find<View>(R.id.style_title).visibility = visibleIf(available.isNotEmpty())
    }

    private fun wish(): Wish? {
        val info = shown.model?.info ?: return null
        return Wish(
            subject = choices.subject ?: return null,
            style = choices.style,
            seed = choices.seed,
            steps = choices.steps ?: info.defaultSteps,
            guidanceScale = choices.guidanceScale.takeIf { info.nullLabel != null } ?: info.defaultGuidanceScale
        )
    }

    private fun showControls(state: StudioState) {
        controls.visibility = visibleIf(state.model != null)
        draw.isEnabled = state.stage == Stage.READY || state.stage == Stage.DRAWING
        draw.setText(if (state.stage == Stage.DRAWING) R.string.cancel else R.string.draw)
        val done = state.finished != null && state.stage != Stage.DRAWING
        for (button in listOf(save, share)) button.visibility = visibleIf(done)
        find<View>(R.id.import_bundle).isEnabled = state.stage != Stage.DRAWING && state.stage != Stage.LOADING
    }

    private fun showPicture(state: StudioState) {
        val drawing = state.drawing
        progress.visibility = if (drawing != null) View.VISIBLE else View.INVISIBLE
        progress.max = drawing?.stepCount ?: 1
        progress.progress = drawing?.step ?: 0
        val wanted = if (drawing != null) drawing.preview else state.finished?.picture
        if (wanted !== picked) picture.setImageBitmap(wanted?.toBitmap())
        picked = wanted
        placeholder.visibility = visibleIf(wanted == null)
        placeholder.setText(if (state.stage == Stage.NO_BUNDLE) R.string.no_bundle else R.string.nothing_yet)
        val subject = drawing?.wish ?: state.finished?.wish
        picture.contentDescription =
            when {
                subject == null -> activity.getString(R.string.nothing_yet)
                drawing != null -> activity.getString(R.string.preview_description, name(subject))
                else -> activity.getString(R.string.picture_description, name(subject), subject.seed)
            }
    }

    private fun statusText(state: StudioState): CharSequence {
        val drawing = state.drawing
        val progressText =
            when {
                state.stage == Stage.LOADING -> activity.getString(R.string.loading)
                drawing == null -> ""
                drawing.decoding -> activity.getString(R.string.decoding)
                else -> activity.getString(R.string.step, drawing.step, drawing.stepCount)
            }
        val notice = state.notice?.let(::noticeText)
        val idle = state.finished?.takeIf { drawing == null && notice == null }?.let { name(it.wish) }
        return listOfNotNull(progressText.ifEmpty { null }, notice, idle).joinToString(" · ")
    }

    private fun noticeText(notice: Notice): String = when (notice) {
        is Notice.Problem -> notice.message
        Notice.Cancelled -> activity.getString(R.string.cancelled)
        Notice.Imported -> activity.getString(R.string.imported)
        Notice.Warm -> activity.getString(R.string.warm)
        Notice.TooHot -> activity.getString(R.string.too_hot)
        Notice.LowMemory -> activity.getString(R.string.low_memory)
    }

    private fun showFigures(state: StudioState) {
        val drawing = state.drawing
        val finished = state.finished
        figures.visibility = visibleIf(state.model != null)
        when {
            drawing != null && drawing.step > 0 ->
                showFigures(drawing.stepMillis, drawing.elapsedMillis, drawing.peakMemoryBytes)

            drawing == null && finished != null ->
                showFigures(finished.millisPerStep, finished.totalMillis, finished.peakMemoryBytes)

            else -> for (id in CAPTIONS.keys) figureValue(id).setText(R.string.no_figure)
        }
    }

    private fun showFigures(stepMillis: Double, totalMillis: Double, peakMemoryBytes: Long) {
        figureValue(R.id.figure_step).text = activity.getString(R.string.milliseconds, stepMillis)
        figureValue(R.id.figure_total).text = activity.getString(R.string.seconds, totalMillis / 1000)
        figureValue(R.id.figure_memory).text = size(peakMemoryBytes)
    }

    private fun showSliders() {
        val stepCount = steps.progress + 1
        val guidanceText = String.format(Locale.getDefault(), "%.1f", 1 + guidance.progress * GUIDANCE_STEP)
        find<TextView>(R.id.steps_value).text = String.format(Locale.getDefault(), "%d", stepCount)
        find<TextView>(R.id.guidance_value).text = guidanceText
        steps.contentDescription =
            activity.resources.getQuantityString(R.plurals.steps_description, stepCount, stepCount)
        guidance.contentDescription = activity.getString(R.string.guidance_description, guidanceText)
    }

    private fun SeekBar.onUserChange(change: (Int) -> Unit) = setOnSeekBarChangeListener(
        object : SeekBar.OnSeekBarChangeListener {
            override fun onProgressChanged(bar: SeekBar, value: Int, fromUser: Boolean) {
                if (fromUser) change(value)
                showSliders()
            }

            override fun onStartTrackingTouch(bar: SeekBar) = Unit

            override fun onStopTrackingTouch(bar: SeekBar) = Unit
        }
    )

    private fun name(wish: Wish) = listOfNotNull(wish.subject, wish.style).joinToString(", ")

    private fun size(bytes: Long): String = Formatter.formatShortFileSize(activity, bytes)

    private fun figure(id: Int): View = find(id)

    private fun figureValue(id: Int) = figure(id).child<TextView>(R.id.value)

    private fun visibleIf(condition: Boolean) = if (condition) View.VISIBLE else View.GONE

    private fun <T : View> find(id: Int): T = activity.child(id)

    private companion object {
        const val MAX_STEPS = 50
        const val GUIDANCE_STEP = 0.5f
        val CAPTIONS =
            mapOf(
                R.id.figure_step to R.string.figure_step,
                R.id.figure_total to R.string.figure_total,
                R.id.figure_memory to R.string.figure_memory
            )
    }
}
