//! Has the binary compiled again when a file comes to the SDK that it carries; `include_dir` sees only
//! changes of files that it knows.

fn main() {
    for folder in ["../guest-sdk/src", "../guest-sdk/macros/src", "../wit"] {
        println!("cargo::rerun-if-changed={folder}");
    }
}
