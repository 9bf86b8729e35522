// SPDX-License-Identifier: Apache-2.0
package hqdit.mobile.demo

import android.app.ActivityManager
import android.content.Context
import kotlin.math.max

/** What the system says of the phone's memory. */
class PhoneMemory(context: Context) {
    private val manager = context.service<ActivityManager>()
    private val info get() = ActivityManager.MemoryInfo().also(manager::getMemoryInfo)

    /** What a model may take before the phone is short of memory. */
    val spareBytes: Long get() = info.run { max(1, availMem - threshold) }

    /** Whether it is short of memory now. From Android 14 on no callback tells a visible app. */
    val isLow: Boolean get() = info.lowMemory
}
