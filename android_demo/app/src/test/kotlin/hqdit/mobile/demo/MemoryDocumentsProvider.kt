// SPDX-License-Identifier: Apache-2.0
package hqdit.mobile.demo

import android.database.Cursor
import android.database.MatrixCursor
import android.os.CancellationSignal
import android.os.ParcelFileDescriptor
import android.provider.DocumentsContract.Document
import android.provider.DocumentsProvider
import java.io.File

/** Folders and files in memory. As with many providers, a document's id tells nothing of its name. */
class MemoryDocumentsProvider : DocumentsProvider() {
    private class Entry(val id: String, val name: String, val isFolder: Boolean)

    private val contents = mutableMapOf<String, ByteArray>()
    private val children = mutableMapOf<String, MutableList<Entry>>()

    /** What every query throws; null: nothing. */
    var failure: RuntimeException? = null

    /** Adds a file, or without [bytes] a folder. Returns its id. */
    fun add(folder: String, name: String, bytes: ByteArray?): String {
        val id = "document:${contents.size + children.size}"
        if (bytes == null) children[id] = mutableListOf() else contents[id] = bytes
        list(folder).add(Entry(id, name, isFolder = bytes == null))
        return id
    }

    /** Shows the folder [target] in [folder], too. */
    fun addLink(folder: String, name: String, target: String) {
        list(folder).add(Entry(target, name, isFolder = true))
    }

    private fun list(folder: String) = children.getOrPut(folder) { mutableListOf() }

    override fun onCreate() = true

    override fun queryRoots(projection: Array<String>?): Cursor = MatrixCursor(projection ?: emptyArray())

    override fun queryDocument(documentId: String, projection: Array<String>?): Cursor =
        MatrixCursor(projection ?: emptyArray())

    override fun queryChildDocuments(parent: String, projection: Array<String>?, sortOrder: String?): Cursor {
        failure?.let { throw it }
        val columns = checkNotNull(projection)
        return MatrixCursor(columns).apply {
            for (entry in list(parent)) {
                val type = if (entry.isFolder) Document.MIME_TYPE_DIR else "application/octet-stream"
                val row = mapOf(
                    Document.COLUMN_DOCUMENT_ID to entry.id,
                    Document.COLUMN_DISPLAY_NAME to entry.name,
                    Document.COLUMN_MIME_TYPE to type
                )
                addRow(columns.map { row.getValue(it) })
            }
        }
    }

    override fun openDocument(documentId: String, mode: String, signal: CancellationSignal?): ParcelFileDescriptor {
        val file = File.createTempFile("document", null).apply { writeBytes(contents.getValue(documentId)) }
        return ParcelFileDescriptor.open(file, ParcelFileDescriptor.MODE_READ_ONLY).also { file.delete() }
    }

    override fun isChildDocument(parentDocumentId: String, documentId: String) = true

    companion object {
        const val ROOT = "root"
    }
}
