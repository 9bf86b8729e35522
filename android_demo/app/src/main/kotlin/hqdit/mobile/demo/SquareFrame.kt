// SPDX-License-Identifier: Apache-2.0
package hqdit.mobile.demo

import android.content.Context
import android.util.AttributeSet
import android.widget.FrameLayout
import kotlin.math.min

/** A square as large as there is room; what it holds is cut to the shape of its background. */
class SquareFrame
@JvmOverloads
constructor(context: Context, attributes: AttributeSet? = null) :
    FrameLayout(context, attributes) {
    init {
        clipToOutline = true
    }

    override fun onMeasure(widthMeasureSpec: Int, heightMeasureSpec: Int) {
        val width = MeasureSpec.getSize(widthMeasureSpec)
        val bounded = MeasureSpec.getMode(heightMeasureSpec) != MeasureSpec.UNSPECIFIED
        val side = if (bounded) min(width, MeasureSpec.getSize(heightMeasureSpec)) else width
        val spec = MeasureSpec.makeMeasureSpec(side, MeasureSpec.EXACTLY)
        super.onMeasure(spec, spec)
    }
}
