// SPDX-License-Identifier: Apache-2.0
package hqdit.mobile.demo

import android.content.Context
import android.os.Build
import android.os.PowerManager

/** How hard to work, by the temperature of the phone. */
enum class Pace {
    FULL,

    /** Rest as long as a step takes after each one: about half the heat. */
    SLOW,

    /** Stop drawing. */
    STOP
    ;

    companion object {
        /** From a PowerManager.THERMAL_STATUS_* number. */
        fun of(thermalStatus: Int): Pace = when {
            thermalStatus >= PowerManager.THERMAL_STATUS_CRITICAL -> STOP
            thermalStatus >= PowerManager.THERMAL_STATUS_MODERATE -> SLOW
            else -> FULL
        }
    }
}

/**
 * Tells [onPace] the pace now and whenever it changes, between [start] and [stop], on the main
 * thread. Phones before Android 10 cannot.
 */
class ThermalWatch(context: Context, private val onPace: (Pace) -> Unit) {
    private val power = context.service<PowerManager>()
    private var listener: Any? = null

    fun start() {
        if (Build.VERSION.SDK_INT < Build.VERSION_CODES.Q) return
        onPace(Pace.of(power.currentThermalStatus))
        val added = PowerManager.OnThermalStatusChangedListener { onPace(Pace.of(it)) }
        power.addThermalStatusListener(added)
        listener = added
    }

    fun stop() {
        if (Build.VERSION.SDK_INT < Build.VERSION_CODES.Q) return
        (listener as? PowerManager.OnThermalStatusChangedListener)?.let(power::removeThermalStatusListener)
        listener = null
    }
}
