#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds HqDit/CHqDit.xcframework, the engine for iPhones, their simulator and Macs, all on Apple's own processors.
# Needs a Mac with Xcode, CMake and Ninja, git, and a Python with this package in it, which ExecuTorch's build generates
# code with: the repository's .venv, or the one that PYTHON names. The first build fetches ExecuTorch.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
root=$(dirname "$here")
build=$here/build
output=$here/HqDit/CHqDit.xcframework
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' "$root/pyproject.toml")
python=${PYTHON:-$root/.venv/bin/python}

fail() {
  echo "build_framework.sh: $1" >&2
  exit 1
}

need() { command -v "$1" >/dev/null || fail "$1 is missing: $2"; }

[ "$(uname)" = Darwin ] || fail "Apple's compilers are on a Mac only"
need xcodebuild "install Xcode 26 or later and run it once"
need xcrun "install Xcode's command line tools: xcode-select --install"
need cmake "brew install cmake, or pip install cmake"
need ninja "brew install ninja, or pip install ninja"
need git "install Xcode's command line tools: xcode-select --install"
"$python" -c 'import executorch' 2>/dev/null ||
  fail "$python has no executorch: python3 -m venv .venv && .venv/bin/pip install . in $root, or name another with PYTHON"

# SDK PLATFORM MINIMUM [CMake option]: builds the library and leaves its framework and symbols in $build/SDK.
slice() {
  local sdk=$1 platform=$2 minimum=$3
  shift 3
  local folder=$build/$sdk
  cmake -S "$here/framework" -B "$folder/cmake" -G Ninja -DCMAKE_BUILD_TYPE=Release -DPYTHON_EXECUTABLE="$python" \
    -DCMAKE_OSX_SYSROOT="$sdk" -DCMAKE_OSX_ARCHITECTURES=arm64 -DCMAKE_SYSTEM_PROCESSOR=arm64 \
    -DCMAKE_OSX_DEPLOYMENT_TARGET="$minimum" "$@"
  cmake --build "$folder/cmake" --target hqdit
  local library=$folder/cmake/libhqdit.dylib
  # What the App Store compares with Info.plist.
  xcrun vtool -show-build "$library" | grep -Eq "minos $minimum(\.0)?$" || fail "$library was not built for $minimum"
  diff <(xcrun nm -gUj "$library" | sort) <(sort "$folder/cmake/sampler/exports.txt") ||
    fail "$library shows other symbols than the functions of hqdit.h"
  xcrun install_name_tool -id @rpath/CHqDit.framework/CHqDit "$library"
  xcrun dsymutil "$library" -o "$folder/CHqDit.framework.dSYM"
  xcrun strip -S -x "$library"
  assemble "$library" "$folder/CHqDit.framework" "$platform" "$minimum"
}

# LIBRARY FRAMEWORK PLATFORM MINIMUM. On a Mac a framework has versions, elsewhere it is flat.
assemble() {
  local framework=$2 content=$2 resources=$2 key=MinimumOSVersion
  rm -rf "$framework"
  if [ "$3" = MacOSX ]; then
    content=$framework/Versions/A resources=$framework/Versions/A/Resources key=LSMinimumSystemVersion
  fi
  mkdir -p "$content/Headers" "$content/Modules" "$resources"
  cp "$1" "$content/CHqDit"
  cp "$root/export/sampler/include/hqdit.h" "$content/Headers/"
  cp "$here/framework/module.modulemap" "$content/Modules/"
  cp "$here/framework/PrivacyInfo.xcprivacy" "$resources/"
  sed -e "s/@VERSION@/$version/" -e "s/@PLATFORM@/$3/" -e "s/@MINIMUM_KEY@/$key/" -e "s/@MINIMUM@/$4/" \
    "$here/framework/Info.plist.in" >"$resources/Info.plist"
  if [ "$3" = MacOSX ]; then
    ln -s A "$framework/Versions/Current"
    for name in CHqDit Headers Modules Resources; do
      ln -s "Versions/Current/$name" "$framework/$name"
    done
  fi
}

slice iphoneos iPhoneOS 17.0 -DCMAKE_SYSTEM_NAME=iOS
slice iphonesimulator iPhoneSimulator 17.0 -DCMAKE_SYSTEM_NAME=iOS
slice macosx MacOSX 14.0

arguments=()
for sdk in iphoneos iphonesimulator macosx; do
  arguments+=(-framework "$build/$sdk/CHqDit.framework" -debug-symbols "$build/$sdk/CHqDit.framework.dSYM")
done
rm -rf "$build/CHqDit.xcframework"
xcodebuild -create-xcframework "${arguments[@]}" -output "$build/CHqDit.xcframework"
rm -rf "$output"
mv "$build/CHqDit.xcframework" "$output"
echo "built $output"
