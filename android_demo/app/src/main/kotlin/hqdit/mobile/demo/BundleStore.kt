// SPDX-License-Identifier: Apache-2.0
package hqdit.mobile.demo

import android.content.Context
import hqdit.mobile.HqDit
import java.io.File

/**
 * Where the app keeps the model: one bundle in app-private storage, put there by the file picker, by
 * install_bundle.sh, or from the assets when there is no other.
 */
class BundleStore(context: Context) {
    private val assets = AssetSource(context.assets)
    private val importer =
        BundleImporter(File(context.filesDir, "bundles")) { folder ->
            // The engine compares every file with its hash and reads the programs: what opens here will open later.
            HqDit.open(folder).close()
        }

    /** The bundle to open; null if there is none yet. */
    fun find(): File? {
        val current = importer.current
        if (!File(current, BundleImporter.MANIFEST).isFile && assets.exists) importer.import(assets)
        return current.takeIf { File(it, BundleImporter.MANIFEST).isFile }
    }

    /** Replaces the bundle. No model may be open. */
    fun import(source: BundleSource) = importer.import(source)
}
