//! The mutants break code that is there.

use crate::files::{all, no_complaints};

/// Where each mutant stands in a line of its own: file, text, replacement, what it breaks.
const SCRIPT: &str = "scripts/mutants.sh";

#[test]
fn mutant_breaks_text_that_is_there_once_at_least() {
    let files = all();
    let text_of = |path: &str| files.iter().find(|file| file.path == path).map(|file| &file.text);
    let script = text_of(SCRIPT).expect("the script is there");
    let mutants: Vec<&str> =
        script.lines().filter_map(|line| line.strip_prefix("  '")?.strip_suffix('\'')).collect();
    assert!(mutants.len() > 50, "the script is read as it is written");
    let mut complaints = Vec::new();
    for mutant in mutants {
        // As the script reads them.
        let mutant = mutant.replace("\\|", "\u{1}");
        let parts: Vec<&str> = mutant.split('|').collect();
        let [file, old, _, what] = parts.as_slice() else {
            complaints.push(format!("not four parts: {mutant}"));
            continue;
        };
        let old = old.replace('\u{1}', "|").replace("\\n", "\n").replace("\\&", "&");
        let path = format!("host/crates/engine/src/{file}");
        if !text_of(&path).is_some_and(|text| text.contains(&old)) {
            complaints.push(format!("{what}: the text to break is not in {path}"));
        }
    }
    no_complaints("a mutant breaks what is there", &complaints);
}
