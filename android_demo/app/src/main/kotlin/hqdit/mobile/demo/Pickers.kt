// SPDX-License-Identifier: Apache-2.0
package hqdit.mobile.demo

import android.app.AlertDialog
import android.graphics.Rect
import android.text.Editable
import android.text.TextWatcher
import android.view.LayoutInflater
import android.view.ViewGroup
import android.widget.ArrayAdapter
import android.widget.Button
import android.widget.EditText
import android.widget.HorizontalScrollView
import android.widget.ListView
import android.widget.RadioButton
import android.widget.RadioGroup
import hqdit.mobile.LabelSearch

/** A button that names the subject and opens a list of all, with a field that filters it. */
class SubjectPicker(private val button: Button, private val onPick: (String) -> Unit) {
    fun show(subjects: List<String>, chosen: String) {
        button.text = chosen
        button.contentDescription = button.context.getString(R.string.subject_description, chosen)
        button.setOnClickListener { open(subjects) }
    }

    private fun open(subjects: List<String>) {
        val view = LayoutInflater.from(button.context).inflate(R.layout.subjects, button.rootView as ViewGroup, false)
        val list = view.child<ListView>(R.id.list)
        val adapter = ArrayAdapter(button.context, R.layout.subject, subjects.toMutableList())
        list.adapter = adapter
        val folded = subjects.map(LabelSearch::fold)
        // Not the adapter's own filter: that one wants accents typed, and looks at the beginning of words only.
        view.child<EditText>(R.id.filter).afterTextChanged { typed ->
            val wanted = LabelSearch.fold(typed)
            adapter.clear()
            adapter.addAll(subjects.filterIndexed { index, _ -> wanted in folded[index] })
        }
        val dialog =
            AlertDialog
                .Builder(button.context)
                .setTitle(R.string.subject)
                .setView(view)
                .show()
        list.setOnItemClickListener { _, _, position, _ ->
            dialog.dismiss()
            adapter.getItem(position)?.let(onPick)
        }
    }
}

/** One chip per style, one of them chosen. */
class StyleChips(private val group: RadioGroup, private val onPick: (String) -> Unit) {
    private var shown: List<String> = emptyList()

    fun show(styles: List<String>, chosen: String?) {
        if (styles != shown) build(styles)
        shown = styles
        val chip = group.getChildAt(styles.indexOf(chosen)) as? RadioButton ?: return
        chip.isChecked = true
        // Beyond its own edges, so that its neighbours show that there are more.
        val scroll = group.parent as HorizontalScrollView
        group.post {
            val rest = chip.height
            scroll.requestChildRectangleOnScreen(group, Rect(chip.left - rest, 0, chip.right + rest, rest), false)
        }
    }

    private fun build(styles: List<String>) {
        group.removeAllViews()
        group.clearCheck()
        for (style in styles) {
            val chip = LayoutInflater.from(group.context).inflate(R.layout.chip, group, false) as RadioButton
            chip.id = android.view.View.generateViewId()
            chip.text = style
            chip.setOnClickListener { onPick(style) }
            group.addView(chip)
        }
    }
}

fun EditText.afterTextChanged(action: (String) -> Unit) = addTextChangedListener(
    object : TextWatcher {
        override fun beforeTextChanged(text: CharSequence, start: Int, count: Int, after: Int) = Unit

        override fun onTextChanged(text: CharSequence, start: Int, before: Int, count: Int) = Unit

        override fun afterTextChanged(text: Editable) = action(text.toString())
    }
)
