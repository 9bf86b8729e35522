// SPDX-License-Identifier: Apache-2.0
buildscript {
    dependencies {
        // The Android plugin compiles Kotlin with the version that it finds here.
        classpath(libs.kotlin.gradle.plugin)
    }
}

plugins {
    alias(libs.plugins.android.application) apply false
    alias(libs.plugins.android.library) apply false
}
