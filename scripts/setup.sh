#!/usr/bin/env bash
# Installs what building Everstate needs and what is missing here. Safe to run again at any time.
#
#   clang, libclang        to compile RocksDB and generate its bindings
#   wasm32-wasip2          to compile guests: from rustup, else from Debian's packages
#   cargo-nextest, strace  to run the tests
#   python3 with venv, node to run the clients of Durable Functions in the tests
set -euo pipefail

readonly TARGET=wasm32-wasip2
readonly DEBIAN_RUSTC=/usr/bin/rustc

say() { printf 'setup: %s\n' "$*" >&2; }
have() { command -v "$1" >/dev/null 2>&1; }

as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

apt_updated=
# Installs Debian packages, or names them and fails.
apt_install() {
    if ! have apt-get || { [ "$(id -u)" -ne 0 ] && ! have sudo; }; then
        say "please install these packages (Debian's names), then run this again: $*"
        return 1
    fi
    if [ -z "$apt_updated" ]; then
        say "updating the list of packages"
        as_root apt-get update -qq >&2 || say "the list of packages could not be updated; trying with the old one"
        apt_updated=1
    fi
    say "installing $*"
    if ! as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$@" >&2; then
        say "these packages could not be installed; please install them, then run this again: $*"
        return 1
    fi
}

has_libclang() {
    compgen -G '/usr/lib/llvm-*/lib/libclang*.so*' >/dev/null ||
        compgen -G '/usr/lib*/*/libclang*.so*' >/dev/null ||
        compgen -G '/usr/lib*/libclang*.so*' >/dev/null ||
        [ -n "${LIBCLANG_PATH:-}" ]
}

setup_clang() {
    if ! have clang || ! has_libclang; then
        apt_install clang libclang-dev
    fi
}

# Whether the Rust toolchain that cargo uses here has the target.
rustup_has_target() {
    [ -d "$(rustc --print sysroot)/lib/rustlib/$TARGET/lib" ]
}

# Whether Debian's packages for the target are in place.
debian_has_target() {
    [ -x "$DEBIAN_RUSTC" ] || return 1
    local rustlib
    rustlib="$("$DEBIAN_RUSTC" --print sysroot)/lib/rustlib"
    [ -e "$rustlib/src/rust/library/Cargo.lock" ] &&
        compgen -G "$rustlib/*/bin/wasm-component-ld" >/dev/null &&
        have rust-lld &&
        [ -e "$rustlib/$TARGET/lib/self-contained/crt1-command.o" ] &&
        [ -e "$rustlib/$TARGET/lib/self-contained/crt1-reactor.o" ] &&
        [ -e "$rustlib/$TARGET/lib/self-contained/libc.a" ]
}

# The newest linker that Debian offers, lld-22 for instance.
newest_lld() {
    apt-cache pkgnames lld- 2>/dev/null | grep -E '^lld-[0-9]+$' | sort -t- -k2 -n | tail -n 1
}

# rust-lld is how rustc calls the linker; Debian's lld packages carry it under their own name.
link_rust_lld() {
    have rust-lld && return 0
    local lld
    lld="$(compgen -c lld- | grep -E '^lld-[0-9]+$' | sort -t- -k2 -n | tail -n 1)"
    [ -n "$lld" ] || { say "no lld found after its installation"; return 1; }
    as_root ln -sf "$(command -v "$lld")" /usr/local/bin/rust-lld
}

setup_debian_target() {
    apt_install rustc-web rust-web-src rust-web-llvm wasi-libc
    if ! have rust-lld; then
        local lld
        lld="$(newest_lld)"
        apt_install "${lld:-lld}"
    fi
    link_rust_lld
    local libc=/usr/lib/wasm32-wasi self_contained
    self_contained="$("$DEBIAN_RUSTC" --print sysroot)/lib/rustlib/$TARGET/lib/self-contained"
    as_root mkdir -p "$self_contained"
    as_root cp "$libc/crt1-command.o" "$libc/crt1-reactor.o" "$libc/libc.a" "$self_contained/"
}

setup_target() {
    if rustup_has_target || debian_has_target; then
        return 0
    fi
    if have rustup && rustup target add "$TARGET" >&2 && rustup_has_target; then
        return 0
    fi
    say "rustup cannot add $TARGET here; using Debian's packages"
    setup_debian_target
    debian_has_target || { say "Debian's packages for $TARGET are incomplete"; return 1; }
}

setup_strace() {
    have strace || apt_install strace
}

# The tests make an environment of their own for Python; Debian has that module in a package by itself.
setup_python() {
    python3 -c 'import venv, ensurepip' 2>/dev/null || apt_install python3 python3-venv
}

setup_node() {
    { have node && have npm; } || apt_install nodejs npm
}

setup_nextest() {
    have cargo-nextest && return 0
    say "installing cargo-nextest"
    if ! cargo install cargo-nextest --locked >&2; then
        say "cargo-nextest could not be installed; please install it (https://nexte.st), then run this again"
        return 1
    fi
}

if ! have cargo; then
    say "cargo is missing; please install Rust (https://rustup.rs), then run this again"
    exit 1
fi
setup_clang
setup_target
setup_nextest
setup_python || say "without Python 3 and its module venv some tests fail"
setup_node || say "without Node.js and npm some tests fail"
setup_strace || say "without strace the tests that look at system calls are skipped"
