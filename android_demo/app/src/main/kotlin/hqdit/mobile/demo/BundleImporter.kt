// SPDX-License-Identifier: Apache-2.0
package hqdit.mobile.demo

import java.io.File
import java.io.IOException
import java.io.InputStream

/** Files to import, with the paths they shall have in the bundle. */
fun interface BundleSource {
    /** Calls [visit] for each file, in any order. The stream is valid during the call. */
    fun forEach(visit: (path: String, content: InputStream) -> Unit)
}

/** A bundle that cannot be imported; the message says why. */
class ImportException(message: String) : IOException(message)

/**
 * Copies bundles into the folder [root] of the app. A copy takes its place as [current] only when it is complete and
 * [check] has accepted it; whatever goes wrong before leaves the old bundle as it was.
 */
class BundleImporter(private val root: File, private val freeBytes: () -> Long, private val check: (File) -> Unit) {
    val current = File(root, "current")
    private val old = File(root, "replaced")

    fun import(source: BundleSource) {
        root.mkdirs()
        val staging = File(root, "incoming").apply { deleteRecursively() }
        try {
            copy(source, staging)
            removeSystemFiles(staging)
            val bundle = bundleIn(staging)
            check(bundle)
            replaceCurrent(bundle)
        } finally {
            staging.deleteRecursively()
        }
    }

    private fun copy(source: BundleSource, staging: File) {
        var files = 0
        var budget = freeBytes() - RESERVE_BYTES
        source.forEach { path, content ->
            if (++files > MAX_FILES) throw ImportException("more than $MAX_FILES files: this is not a bundle")
            val target = resolveInside(staging, path)
            if (target.exists()) throw ImportException("$path appears twice")
            val parent = checkNotNull(target.parentFile)
            if (!parent.mkdirs() && !parent.isDirectory) throw ImportException("$path cannot be written")
            target.outputStream().use { output ->
                val buffer = ByteArray(1 shl 16)
                while (true) {
                    val count = content.read(buffer)
                    if (count < 0) break
                    budget -= count
                    if (budget < 0) throw ImportException("not enough free storage for this bundle")
                    output.write(buffer, 0, count)
                }
            }
        }
    }

    /** What macOS puts beside the files that were asked for. */
    private fun removeSystemFiles(staging: File) {
        File(staging, "__MACOSX").deleteRecursively()
        staging.walk().filter { it.name == ".DS_Store" }.forEach { it.delete() }
    }

    /** Takes the old bundle back if the process died while a new one was about to replace it. */
    fun recover() {
        if (current.exists() || !old.exists()) return
        if (!old.renameTo(current)) throw ImportException("$current cannot be written")
    }

    private fun replaceCurrent(bundle: File) {
        old.deleteRecursively()
        if (current.exists() && !current.renameTo(old)) throw ImportException("$current cannot be replaced")
        if (!bundle.renameTo(current)) {
            old.renameTo(current)
            throw ImportException("$current cannot be written")
        }
        old.deleteRecursively()
    }

    companion object {
        const val MANIFEST = "manifest.json"
        internal const val MAX_FILES = 256
        internal const val MAX_DEPTH = 4
        private const val RESERVE_BYTES = 64L shl 20

        /** [path] below [folder]. The path comes from a stranger's archive, so only plain names pass. */
        internal fun resolveInside(folder: File, path: String): File {
            val names = path.split('/')
            val plain =
                names.size <= MAX_DEPTH &&
                    names.all { name ->
                        name.isNotEmpty() && name.encodeToByteArray().size <= 200 && name != "." && name != ".." &&
                            name.none { it == '\\' || it.isISOControl() }
                    }
            if (!plain) throw ImportException("the bundle holds a file with an unsafe path: ${path.take(200)}")
            return names.fold(folder, ::File)
        }

        /** The folder with the manifest: [staging], or the only folder in it, as "zip -r bundle.zip bundle" makes. */
        private fun bundleIn(staging: File): File {
            val inside = staging.listFiles().orEmpty()
            val folder = inside.singleOrNull()?.takeIf { it.isDirectory } ?: staging
            if (!File(folder, MANIFEST).isFile) {
                throw ImportException("no $MANIFEST: this is not a bundle of hqdit-export")
            }
            return folder
        }
    }
}
