// SPDX-License-Identifier: Apache-2.0
plugins {
    alias(libs.plugins.android.library)
}

android {
    namespace = "hqdit.mobile"
    compileSdk = libs.versions.compileSdk.get().toInt()
    ndkVersion = libs.versions.ndk.get()

    defaultConfig {
        minSdk = libs.versions.minSdk.get().toInt()
        consumerProguardFiles("consumer-rules.pro")
        ndk {
            abiFilters += "arm64-v8a"
        }
        externalNativeBuild {
            cmake {
                targets += "hqdit_jni"
                arguments += listOf("-DANDROID_STL=c++_static", "-DCMAKE_BUILD_TYPE=Release")
                // ExecuTorch's build runs Python, with the packages that hqdit-mobile needs.
                providers.gradleProperty("hqdit.python").orNull?.let { arguments += "-DPYTHON_EXECUTABLE=$it" }
            }
        }
    }

    externalNativeBuild {
        cmake {
            path = file("src/main/cpp/CMakeLists.txt")
            version = libs.versions.cmake.get()
        }
    }

    testOptions {
        unitTests.all { test ->
            // The desktop library and the bundle that tests/android/test_android.py builds: -Phqdit.library=... and so on.
            for (name in listOf("hqdit.library", "hqdit.tiny", "hqdit.output")) {
                test.systemProperty(name, providers.gradleProperty(name).getOrElse(""))
            }
        }
    }

    compileOptions {
        sourceCompatibility = JavaVersion.VERSION_17
        targetCompatibility = JavaVersion.VERSION_17
    }
}

kotlin {
    explicitApi()
    compilerOptions {
        allWarningsAsErrors = true
    }
}

dependencies {
    api(libs.kotlinx.coroutines)
    testImplementation(libs.junit)
}
