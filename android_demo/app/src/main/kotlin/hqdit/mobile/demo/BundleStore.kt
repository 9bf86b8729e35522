// SPDX-License-Identifier: Apache-2.0
package hqdit.mobile.demo

import android.content.Context
import hqdit.mobile.HqDit
import hqdit.mobile.OpenOptions
import hqdit.mobile.openIsolated
import java.io.File

/**
 * Where the app keeps the model: one bundle in app-private storage, put there by the file picker, by
 * install_bundle.sh, or from the assets: when there is no other, and when the app was built with a new one.
 *
 * @param freeBytes the storage left for a folder
 */
class BundleStore(
    private val context: Context,
    //noinspection UsableSpace: no other app's cache is worth clearing for a model
    freeBytes: (File) -> Long = File::getUsableSpace
) {
    private val assets = AssetSource(context.assets)
    private val root = File(context.filesDir, "bundles")
    private val importer =
        BundleImporter(root, { freeBytes(root) }) { folder ->
            // The engine compares every file with its hash and reads the programs: what opens here will open later.
            open(folder, OpenOptions()).close()
        }

    /** The manifest of the packed bundle that has had its turn. */
    private val seen = File(root, "packed.json")

    /** The bundle to open; null if there is none yet. */
    fun find(): File? {
        importer.recover()
        val packed = assets.manifest
        val isNew = packed != null && seen.isFile && !seen.readBytes().contentEquals(packed)
        if (packed != null && (isNew || !isBundle(importer.current))) importer.import(assets)
        markSeen(packed)
        return importer.current.takeIf(::isBundle)
    }

    /** A bundle that came with the app runs in its process, any other in one that can do no harm. */
    fun open(bundle: File, options: OpenOptions): HqDit {
        val manifest = File(bundle, BundleImporter.MANIFEST)
        val isPacked = assets.manifest?.let { manifest.isFile && manifest.readBytes().contentEquals(it) } ?: false
        return if (isPacked) HqDit.open(bundle, options) else HqDit.openIsolated(context, bundle, options)
    }

    /** Replaces the bundle. No model may be open. */
    fun import(source: BundleSource) {
        importer.import(source)
        markSeen(assets.manifest)
    }

    private fun markSeen(packed: ByteArray?) {
        if (packed != null && !(seen.isFile && seen.readBytes().contentEquals(packed))) seen.writeBytes(packed)
    }

    private fun isBundle(folder: File) = File(folder, BundleImporter.MANIFEST).isFile
}
