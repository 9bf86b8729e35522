// SPDX-License-Identifier: Apache-2.0
// What Gradle's Kotlin DSL adds to Gradle's Java API. It comes with the Gradle distribution alone, so these stand in for
// it: the functions that the scripts use, with its signatures.
package org.gradle.kotlin.dsl

import org.gradle.api.Project
import org.gradle.api.artifacts.Dependency
import org.gradle.api.artifacts.ProjectDependency
import org.gradle.api.artifacts.dsl.DependencyHandler
import org.gradle.api.initialization.dsl.ScriptHandler
import org.gradle.api.provider.Property
import org.gradle.plugin.use.PluginDependenciesSpec
import org.gradle.plugin.use.PluginDependencySpec

fun <T : Any> Property<T>.assign(value: T?) = set(value)

fun Project.buildscript(block: ScriptHandler.() -> Unit) = buildscript.block()

fun Project.dependencies(block: DependencyHandler.() -> Unit) = dependencies.block()

fun ScriptHandler.dependencies(block: DependencyHandler.() -> Unit) = dependencies.block()

@Suppress("UNUSED_PARAMETER", "UnusedReceiverParameter")
fun Project.plugins(block: PluginDependenciesSpec.() -> Unit) = Unit

infix fun PluginDependencySpec.apply(apply: Boolean): PluginDependencySpec = apply(apply)

fun DependencyHandler.project(path: String): ProjectDependency = project(mapOf("path" to path)) as ProjectDependency

fun DependencyHandler.classpath(notation: Any): Dependency? = add(ScriptHandler.CLASSPATH_CONFIGURATION, notation)
