//! The `everstate` binary. All it does is in the library.

use std::process::ExitCode;

// RocksDB, wasmtime and the engine allocate small pieces on all threads; see docs/decisions.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    everstate::main()
}
