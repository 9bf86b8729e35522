// SPDX-License-Identifier: Apache-2.0
package hqdit.mobile.demo

import android.os.IBinder
import android.os.Parcel

/** [real], and something after each of its calls. */
internal class Between(private val real: IBinder, private val after: (Parcel) -> Unit) : IBinder by real {
    override fun transact(code: Int, data: Parcel, reply: Parcel?, flags: Int): Boolean =
        real.transact(code, data, reply, flags).also { after(checkNotNull(reply)) }
}
