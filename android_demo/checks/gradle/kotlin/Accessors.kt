// SPDX-License-Identifier: Apache-2.0
// The accessors that Gradle generates for the extensions and configurations of the plugins that a script applies, here
// for one project of each kind, so that an accessor of another kind of project does not resolve.
package accessors

import com.android.build.api.dsl.ApplicationExtension
import com.android.build.api.dsl.LibraryExtension
import org.gradle.api.Project
import org.gradle.api.artifacts.Dependency
import org.gradle.api.artifacts.dsl.DependencyHandler
import org.jetbrains.kotlin.gradle.dsl.KotlinAndroidProjectExtension

interface AndroidProject : Project {
    fun kotlin(block: KotlinAndroidProjectExtension.() -> Unit) =
        extensions.getByType(KotlinAndroidProjectExtension::class.java).block()

    fun DependencyHandler.implementation(notation: Any): Dependency? = add("implementation", notation)

    fun DependencyHandler.testImplementation(notation: Any): Dependency? = add("testImplementation", notation)
}

interface ApplicationProject : AndroidProject {
    fun android(block: ApplicationExtension.() -> Unit) = extensions.getByType(ApplicationExtension::class.java).block()
}

interface LibraryProject : AndroidProject {
    fun android(block: LibraryExtension.() -> Unit) = extensions.getByType(LibraryExtension::class.java).block()

    fun DependencyHandler.api(notation: Any): Dependency? = add("api", notation)
}
