// SPDX-License-Identifier: Apache-2.0
package hqdit.mobile.demo

import org.junit.Assert.assertEquals
import org.junit.Rule
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.RobolectricTestRunner
import org.robolectric.annotation.Config

/** The oldest Android of the manifest: a call that it lacks ends these. */
@RunWith(RobolectricTestRunner::class)
@Config(sdk = [26])
class MinSdkTest {
    @get:Rule
    val app = AppRule()

    @Test
    fun itStartsDrawsTurnsAndShares() {
        app.start()
        app.draw()
        app.controller.recreate()
        app.tap(R.id.share)
        assertEquals(16 * 16, app.pixels().size)
    }
}
