//! Tools in Python and JavaScript that tests run: installed once into a folder of the build, from files
//! that pin every version, and used by all tests and runs after that.

use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context, Result, ensure};

/// A folder of `tests/clients`.
#[must_use]
pub fn source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("clients").join(name)
}

/// The folder of a Python environment with what `tests/clients/{name}/requirements.txt` names.
///
/// # Errors
/// If Python 3 with its module `venv` is missing, or a package cannot be installed.
pub fn python(name: &str, build: &Path) -> Result<PathBuf> {
    let requirements = source(name).join("requirements.txt");
    installed(name, build, &[&requirements], |folder| {
        let missing = "Python 3 with its module `venv` is needed; scripts/setup.sh installs it";
        run(Command::new("python3").args(["-m", "venv"]).arg(folder), missing)?;
        let mut pip = Command::new(folder.join("bin/pip"));
        pip.args(["install", "--quiet", "--disable-pip-version-check", "--requirement"]);
        run(pip.arg(&requirements), "the packages cannot be installed")
    })
}

/// A folder with the files of `tests/clients/{name}` and the packages that its `package-lock.json` names.
///
/// # Errors
/// If Node.js with npm is missing, or a package cannot be installed.
pub fn node(name: &str, build: &Path) -> Result<PathBuf> {
    let files = ["package.json", "package-lock.json", "client.js"].map(|f| source(name).join(f));
    let sources: Vec<&Path> = files.iter().map(PathBuf::as_path).collect();
    installed(name, build, &sources, |folder| {
        fs::create_dir_all(folder)?;
        for file in &files {
            fs::copy(file, folder.join(file.file_name().context("a file has a name")?))?;
        }
        let missing = "Node.js 20 or newer with npm is needed; scripts/setup.sh installs it";
        let mut npm = Command::new("npm");
        npm.args(["ci", "--no-audit", "--no-fund", "--ignore-scripts"]).current_dir(folder);
        run(&mut npm, missing)
    })
}

/// Installs into a folder that is named for the contents of these files, unless it is there. Others who
/// want the same wait.
fn installed(
    name: &str,
    build: &Path,
    sources: &[&Path],
    install: impl FnOnce(&Path) -> Result<()>,
) -> Result<PathBuf> {
    let mut hasher = DefaultHasher::new();
    for source in sources {
        fs::read(source).with_context(|| source.display().to_string())?.hash(&mut hasher);
    }
    let folder = build.join(format!("clients-{name}-{:016x}", hasher.finish()));
    let lock = File::create(build.join(format!("clients-{name}.lock")))?;
    lock.lock()?;
    let done = folder.join(".installed");
    if !done.exists() {
        if folder.exists() {
            // An installation that was broken off.
            fs::remove_dir_all(&folder)?;
        }
        install(&folder)
            .with_context(|| format!("cannot install what tests/clients/{name} needs"))?;
        fs::write(done, "")?;
    }
    Ok(folder)
}

/// Runs a command that must succeed.
fn run(command: &mut Command, problem: &'static str) -> Result<()> {
    let output = command.output().context(problem)?;
    ensure!(output.status.success(), "{problem}:\n{}", text_of(&output));
    Ok(())
}

/// All that a command wrote.
#[must_use]
pub fn text_of(output: &Output) -> String {
    let (out, err) = (&output.stdout, &output.stderr);
    format!("{}{}", String::from_utf8_lossy(out), String::from_utf8_lossy(err))
}
