//! The host, so that tests can start and kill it as a process of its own.

fn main() -> std::process::ExitCode {
    everstate::main()
}
