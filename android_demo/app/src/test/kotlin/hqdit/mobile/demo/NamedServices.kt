// SPDX-License-Identifier: Apache-2.0
package hqdit.mobile.demo

import android.content.Intent
import android.content.ServiceConnection
import android.os.Build
import java.util.Collections
import java.util.concurrent.Executor
import org.robolectric.annotation.Implementation
import org.robolectric.annotation.Implements
import org.robolectric.shadows.ShadowContextImpl

/**
 * Binds services by a name, which Robolectric does not. On every test that opens a model: another list of shadows means
 * another class loader, and a native library belongs to one.
 */
@Implements(className = ShadowContextImpl.CLASS_NAME)
class NamedServices : ShadowContextImpl() {
    @Implementation(minSdk = Build.VERSION_CODES.Q)
    fun bindIsolatedService(
        service: Intent,
        flags: Int,
        instanceName: String,
        executor: Executor,
        connection: ServiceConnection
    ): Boolean {
        // As Android does.
        require(Regex("[A-Za-z0-9_.]+").matches(instanceName)) { "Illegal instanceName" }
        names[connection] = instanceName
        return bindService(service, flags, executor, connection)
    }

    companion object {
        val names: MutableMap<ServiceConnection, String> = Collections.synchronizedMap(LinkedHashMap())
    }
}
