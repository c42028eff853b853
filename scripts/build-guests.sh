#!/usr/bin/env bash
# Compiles the guests to components and prints the folder with the .wasm files as its last line.
#
#   scripts/build-guests.sh [--package NAME]...     without --package: all packages guest-*
#
# GUESTS_TARGET_DIR is where cargo builds them; default: target/guests of the workspace.
# The settings of a cargo that runs this (from a build script, say) are kept out of the inner build.
set -euo pipefail

readonly TARGET=wasm32-wasip2
readonly DEBIAN_RUSTC=/usr/bin/rustc

workspace="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
target_dir="${GUESTS_TARGET_DIR:-$workspace/target/guests}"

packages=()
while [ $# -gt 0 ]; do
    case "$1" in
        --package)
            [ $# -ge 2 ] || { echo "build-guests: --package needs a name" >&2; exit 2; }
            packages+=(--package "$2")
            shift 2
            ;;
        *)
            echo "build-guests: unknown argument $1; usage: build-guests.sh [--package NAME]..." >&2
            exit 2
            ;;
    esac
done
[ ${#packages[@]} -gt 0 ] || packages=(--package 'guest-*')

unset CARGO_TARGET_DIR CARGO_BUILD_TARGET_DIR CARGO_BUILD_TARGET CARGO_ENCODED_RUSTFLAGS RUSTFLAGS \
    CARGO_BUILD_RUSTFLAGS RUSTC_WRAPPER RUSTC_WORKSPACE_WRAPPER CLIPPY_ARGS RUSTC RUSTC_BOOTSTRAP \
    RUSTC_LINKER RUSTDOC TARGET_DIR MAKEFLAGS CARGO_MAKEFLAGS

cd "$workspace"
flags=()
if [ ! -d "$(rustc --print sysroot)/lib/rustlib/$TARGET/lib" ]; then
    if [ ! -e "$("$DEBIAN_RUSTC" --print sysroot 2>/dev/null)/lib/rustlib/$TARGET/lib/self-contained/libc.a" ]; then
        echo "build-guests: no compiler here has the target $TARGET; run scripts/setup.sh" >&2
        exit 1
    fi
    export RUSTC="$DEBIAN_RUSTC" RUSTC_BOOTSTRAP=1
    flags+=(-Zbuild-std=std,panic_abort)
fi

# One build at a time: cargo replaces its output files even if nothing has changed, and somebody who reads
# them meanwhile finds none. So what is printed is a folder of copies that only ever change as a whole.
components="$target_dir/components"
mkdir -p "$components"
exec 9>"$target_dir/.build-guests.lock"
flock 9

cargo build "${packages[@]}" --target "$TARGET" --profile guest --target-dir "$target_dir" "${flags[@]}" >&2
for built in "$target_dir/$TARGET/guest"/*.wasm; do
    component="$components/$(basename "$built")"
    if ! cmp --silent "$built" "$component"; then
        cp "$built" "$component.new"
        mv "$component.new" "$component"
    fi
done
echo "$components"
