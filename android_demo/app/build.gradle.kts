// SPDX-License-Identifier: Apache-2.0
plugins {
    alias(libs.plugins.android.application)
}

val pyproject = file("../../pyproject.toml").readLines()

android {
    namespace = "hqdit.mobile.demo"
    compileSdk = libs.versions.compileSdk.get().toInt()

    defaultConfig {
        applicationId = "hqdit.mobile.demo"
        minSdk = libs.versions.minSdk.get().toInt()
        targetSdk = libs.versions.targetSdk.get().toInt()
        versionCode = 1
        versionName = pyproject.first { it.startsWith("version = ") }.substringAfter('"').substringBefore('"')
    }

    buildTypes {
        release {
            isMinifyEnabled = true
            isShrinkResources = true
            proguardFiles(getDefaultProguardFile("proguard-android-optimize.txt"))
            // A demo: sign it with your own key before you publish it.
            signingConfig = signingConfigs.getByName("debug")
        }
    }

    androidResources {
        // A model does not compress, and the copy out of the APK is faster from plain bytes.
        noCompress += "pte"
    }

    packaging {
        jniLibs {
            // Loaded straight from the APK, which is what 16 KB pages need.
            useLegacyPackaging = false
        }
    }

    compileOptions {
        sourceCompatibility = JavaVersion.VERSION_17
        targetCompatibility = JavaVersion.VERSION_17
    }

    testOptions {
        unitTests.isIncludeAndroidResources = true
        unitTests.all { test ->
            // The desktop library and the bundles that tests/android/test_android.py builds: -Phqdit.library=... and so on.
            for (name in listOf("hqdit.library", "hqdit.tiny", "hqdit.bundle", "hqdit.output")) {
                test.systemProperty(name, providers.gradleProperty(name).getOrElse(""))
            }
        }
    }
}

kotlin {
    compilerOptions {
        allWarningsAsErrors = true
    }
}

dependencies {
    implementation(project(":hqdit"))
    testImplementation(libs.junit)
    testImplementation(libs.robolectric)
}
