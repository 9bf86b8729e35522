// SPDX-License-Identifier: Apache-2.0
package hqdit.mobile.demo

import android.content.ContentResolver
import android.content.res.AssetManager
import android.net.Uri
import android.provider.DocumentsContract
import android.provider.DocumentsContract.Document
import java.io.FileNotFoundException
import java.io.InputStream

/** A folder that the user picked with ACTION_OPEN_DOCUMENT_TREE. */
class TreeSource(private val resolver: ContentResolver, private val tree: Uri) : BundleSource {
    override fun forEach(visit: (String, InputStream) -> Unit) =
        visitFolder(DocumentsContract.getTreeDocumentId(tree), "", visit)

    private fun visitFolder(folder: String, prefix: String, visit: (String, InputStream) -> Unit) {
        // What a provider calls a folder may hold itself.
        if (prefix.count { it == '/' } >= BundleImporter.MAX_DEPTH) throw ImportException("$prefix is too deep")
        for ((id, name, isFolder) in children(folder)) {
            if (isFolder) {
                visitFolder(id, "$prefix$name/", visit)
                continue
            }
            val uri = DocumentsContract.buildDocumentUriUsingTree(tree, id)
            val file = resolver.openInputStream(uri) ?: throw ImportException("$prefix$name cannot be opened")
            file.use { visit("$prefix$name", it) }
        }
    }

    private fun children(folder: String): List<Triple<String, String, Boolean>> {
        val uri = DocumentsContract.buildChildDocumentsUriUsingTree(tree, folder)
        val columns = arrayOf(Document.COLUMN_DOCUMENT_ID, Document.COLUMN_DISPLAY_NAME, Document.COLUMN_MIME_TYPE)
        val cursor =
            resolver.query(uri, columns, null, null) ?: throw ImportException("the folder cannot be read")
        return cursor.use {
            buildList {
                while (it.moveToNext()) {
                    add(Triple(it.getString(0), it.getString(1), it.getString(2) == Document.MIME_TYPE_DIR))
                }
            }
        }
    }
}

/** The bundle packed into the app at assets/bundle. */
class AssetSource(private val assets: AssetManager) : BundleSource {
    /** The manifest; null if no bundle was packed. */
    val manifest: ByteArray?
        get() =
            try {
                assets.open("$FOLDER/${BundleImporter.MANIFEST}").use { it.readBytes() }
            } catch (_: FileNotFoundException) {
                null
            }

    override fun forEach(visit: (String, InputStream) -> Unit) {
        for (name in assets.list(FOLDER).orEmpty()) {
            assets.open("$FOLDER/$name").use { visit(name, it) }
        }
    }

    private companion object {
        const val FOLDER = "bundle"
    }
}
