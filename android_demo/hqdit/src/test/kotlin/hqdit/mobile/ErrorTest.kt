// SPDX-License-Identifier: Apache-2.0
package hqdit.mobile

import java.io.File
import java.io.FileDescriptor
import java.io.RandomAccessFile
import java.security.KeyPairGenerator
import java.security.Signature
import java.util.HexFormat
import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertEquals
import org.junit.Assert.assertNull
import org.junit.Assert.assertThrows
import org.junit.Assert.assertTrue
import org.junit.Rule
import org.junit.Test
import org.junit.rules.TemporaryFolder

class ErrorTest {
    @get:Rule
    val folder = TemporaryFolder()

    @Test
    fun aMissingBundle() {
        val missing = File(folder.root, "nowhere")
        expect<HqDitException.NotFound>("nowhere") { HqDit.open(missing) }
        expect<HqDitException.NotFound>("nowhere") { HqDit.estimate(missing) }
    }

    @Test
    fun aCutFile() {
        val file = File(copyOfTiny("cut"), "transformer.pte")
        file.writeBytes(file.readBytes().copyOf(100))
        expect<HqDitException.InvalidBundle>("transformer.pte") { HqDit.open(file.parentFile) }
    }

    @Test
    fun aChangedFileUnlessNotVerified() {
        val file = File(copyOfTiny("changed"), "vae_decoder.pte")
        file.writeBytes(file.readBytes().also { it[it.size - 1] = (it.last() + 1).toByte() })
        expect<HqDitException.InvalidBundle>("vae_decoder.pte") { HqDit.open(file.parentFile) }
    }

    @Test
    fun moreMemoryThanAllowed() {
        expect<HqDitException.MemoryLimit>("") { HqDit.open(tiny, OpenOptions(memoryLimitBytes = 999_999)) }
        HqDit.open(tiny, OpenOptions(memoryLimitBytes = 1_000_000)).close()
    }

    /** The signature is Java's own. */
    @Test
    fun signedByAKeyOfTheApps() {
        val keys = List(2) { KeyPairGenerator.getInstance("Ed25519").generateKeyPair() }
        val (ours, other) = keys.map { HexFormat.of().formatHex(it.public.encoded.takeLast(32).toByteArray()) }
        val bundle = copyOfTiny("signed")
        expect<HqDitException.InvalidSignature>("not signed") {
            HqDit.open(bundle, OpenOptions(publicKeys = listOf(ours)))
        }
        val signer = Signature.getInstance("Ed25519").apply { initSign(keys[0].private) }
        signer.update(File(bundle, "manifest.json").readBytes())
        File(bundle, "manifest.json.sig").writeBytes(signer.sign())
        HqDit.open(bundle, OpenOptions(publicKeys = listOf(other, ours.uppercase()))).close()
        expect<HqDitException.InvalidSignature>("manifest.json.sig") {
            HqDit.open(bundle, OpenOptions(publicKeys = listOf(other)))
        }
        expect<HqDitException.InvalidArgument>("verify_sha256") {
            HqDit.open(bundle, OpenOptions(verifySha256 = false, publicKeys = listOf(ours)))
        }
        for (bad in listOf("", ours.drop(1), "+" + ours.drop(1), "02".padEnd(64, '0'))) {
            expect<HqDitException.InvalidArgument>("public") {
                HqDit.open(bundle, OpenOptions(publicKeys = listOf(bad)))
            }
        }
    }

    @Test
    fun valuesOutOfRange() = openTiny().use { model ->
        expect<HqDitException.InvalidArgument>("step") { model.generate(request(steps = 0)) }
        expect<HqDitException.InvalidArgument>("label") { model.generate(GenerationRequest(99, listOf(1))) }
        expect<HqDitException.InvalidArgument>("seed") { model.generate(GenerationRequest(1, emptyList())) }
        assertTrue(model.draw(request()).isNotEmpty())
    }

    @Test
    fun guidanceWithoutANullClass() {
        val manifest = File(copyOfTiny("unguided"), "manifest.json")
        val text = manifest.readText().replace("\"null_label\": 5, ", "")
            .replace("\"guided\": \"denoise_guided\", ", "")
            .replace("\"guidance_scale\": 3.0", "\"guidance_scale\": 1")
        manifest.writeText(text)
        HqDit.open(manifest.parentFile, OpenOptions(threads = 1)).use { model ->
            assertNull(model.info.nullLabel)
            assertEquals(1f, model.info.defaultGuidanceScale)
            expect<HqDitException.InvalidArgument>("null class") { model.generate(request().copy(guidanceScale = 3f)) }
            val plain = openTiny().use { it.draw(request().copy(guidanceScale = 1f)) }
            assertArrayEquals(plain, model.draw(request()))
        }
    }

    @Test
    fun aPathInAnyScript() {
        val bundle = copyOfTiny("b\u00fcndel \u6a21\u578b \uD83D\uDE42")
        HqDit.open(bundle).use {
            assertArrayEquals(openTiny().use { tiny -> tiny.draw(request()) }, it.draw(request()))
        }
        assertThrows(IllegalArgumentException::class.java) { HqDit.open(File("a\u0000b")) }
    }

    @Test
    fun filesCanBeReadInsteadOfMapped() = HqDit.open(tiny, OpenOptions(loadMode = LoadMode.READ, threads = 1)).use {
        assertArrayEquals(openTiny().use { mapped -> mapped.draw(request()) }, it.draw(request()))
    }

    /** What EngineService opens. */
    @Test
    fun descriptorsInPlaceOfPaths() {
        val files = tiny.listFiles()!!.associate { it.name to RandomAccessFile(it, "r") }
        val descriptor = FileDescriptor::class.java.getDeclaredField("fd").apply { isAccessible = true }
        val numbers = files.mapValues { descriptor.getInt(it.value.fd) }
        HqDit(LocalEngine.open(numbers, OpenOptions(threads = 1))).use {
            files.values.forEach(RandomAccessFile::close)
            assertArrayEquals(openTiny().use { tiny -> tiny.draw(request()) }, it.draw(request()))
        }
        expect<HqDitException.InvalidArgument>("1 .. 1024") { LocalEngine.open(emptyMap(), OpenOptions()) }
        expect<HqDitException.NotFound>("manifest.json") { LocalEngine.open(mapOf("a" to 0), OpenOptions()) }
        expect<HqDitException.InvalidArgument>("not open") {
            LocalEngine.open(numbers.mapValues { -1 }, OpenOptions())
        }
    }

    private fun copyOfTiny(name: String): File = File(folder.root, name).also { tiny.copyRecursively(it) }

    private inline fun <reified T : HqDitException> expect(word: String, crossinline action: () -> Unit) {
        val error = assertThrows(T::class.java) { action() }
        assertTrue("\"${error.message}\" must name $word", error.message!!.isNotEmpty() && word in error.message!!)
    }
}
