// SPDX-License-Identifier: Apache-2.0
package hqdit.mobile.demo

import android.os.Bundle
import kotlin.random.Random

/** What the user has set so far; null stands for the model's default. Survives the end of the process. */
class Choices(
    var subject: String? = null,
    var style: String? = null,
    var seed: Long = 7,
    var steps: Int? = null,
    var guidanceScale: Float? = null
) {
    fun shuffleSeed() {
        seed = Random.nextLong(1_000_000)
    }

    fun save(to: Bundle) {
        to.putString("subject", subject)
        to.putString("style", style)
        to.putLong("seed", seed)
        to.putInt("steps", steps ?: 0)
        to.putFloat("guidance", guidanceScale ?: Float.NaN)
    }

    companion object {
        fun restore(from: Bundle) = Choices(
            subject = from.getString("subject"),
            style = from.getString("style"),
            seed = from.getLong("seed", 7),
            steps = from.getInt("steps").takeIf { it > 0 },
            guidanceScale = from.getFloat("guidance", Float.NaN).takeUnless(Float::isNaN)
        )
    }
}
