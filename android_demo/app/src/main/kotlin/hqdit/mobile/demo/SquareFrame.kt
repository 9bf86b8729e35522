// SPDX-License-Identifier: Apache-2.0
package hqdit.mobile.demo

import android.content.Context
import android.util.AttributeSet
import android.widget.FrameLayout

/** As high as it is wide; what it holds is cut to the shape of its background. */
class SquareFrame
@JvmOverloads
constructor(context: Context, attributes: AttributeSet? = null) :
    FrameLayout(context, attributes) {
    init {
        clipToOutline = true
    }

    override fun onMeasure(widthMeasureSpec: Int, heightMeasureSpec: Int) =
        super.onMeasure(widthMeasureSpec, widthMeasureSpec)
}
