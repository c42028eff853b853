//! What stands in files, and how much of it.

use crate::files::{all, no_complaints, rust};

/// A file that is longer has two subjects.
const LINES_MAX: usize = 600;

/// Words of other systems for things that have a name here (ARCHITECTURE.md lists ours).
const FOREIGN_WORDS: &[&str] =
    &["workflow", "saga", "actor", "grain", "shard", "oplog", "mailbox", "rehydrate", "lambda"];

#[test]
fn rust_file_begins_by_saying_what_it_is_for() {
    let complaints: Vec<String> = rust()
        .iter()
        .filter(|file| !file.text.starts_with("//! "))
        .map(|file| file.path.clone())
        .collect();
    no_complaints("the first line of a file is `//! …`", &complaints);
}

#[test]
fn rust_file_is_not_a_placeholder() {
    let complaints: Vec<String> = rust()
        .iter()
        .filter(|file| file.text.lines().next().is_some_and(|line| line.contains("Placeholder")))
        .map(|file| file.path.clone())
        .collect();
    no_complaints("every file does something", &complaints);
}

#[test]
fn rust_file_has_one_subject() {
    let complaints: Vec<String> = rust()
        .iter()
        .filter(|file| file.text.lines().count() > LINES_MAX)
        .map(|file| format!("{}: {} lines", file.path, file.text.lines().count()))
        .collect();
    no_complaints("a file has at most 600 lines", &complaints);
}

#[test]
fn text_has_no_debris() {
    // Written in pieces, so that this file passes.
    let debris =
        [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("db", "g!("), concat!("XX", "X ")];
    no_complaints("what is to be done is an issue, not a comment", &lines_with(&debris));
}

#[test]
fn text_names_no_machine_and_no_registry() {
    let machine = [
        concat!("/wo", "rk/"),
        concat!("/ro", "ot/"),
        concat!("/ho", "me/"),
        concat!("crates", ".io"),
        concat!("npmjs", ".org"),
        concat!("py", "pi.org"),
        concat!("deb.", "debian.org"),
    ];
    no_complaints("paths and hosts are the user's", &lines_with(&machine));
}

#[test]
fn identifiers_use_the_words_of_this_project() {
    let mut complaints = Vec::new();
    for file in rust() {
        for (number, line) in file.text.lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            let quoted = code.contains('"');
            for word in words(code).filter(|_| !quoted) {
                if FOREIGN_WORDS.contains(&word.as_str()) {
                    complaints.push(format!("{}:{}: {word}", file.path, number + 1));
                }
            }
        }
    }
    no_complaints("one word, one meaning", &complaints);
}

/// The words that identifiers are made of, in lower case.
fn words(code: &str) -> impl Iterator<Item = String> {
    let mut words = vec![String::new()];
    let mut after_lower = false;
    for character in code.chars() {
        if !character.is_alphanumeric() || (character.is_uppercase() && after_lower) {
            words.push(String::new());
        }
        if character.is_alphanumeric()
            && let Some(word) = words.last_mut()
        {
            word.extend(character.to_lowercase());
        }
        after_lower = character.is_lowercase();
    }
    words.into_iter()
}

/// Where one of the needles stands.
fn lines_with(needles: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for file in all() {
        for (number, line) in file.text.lines().enumerate() {
            if needles.iter().any(|needle| line.contains(needle)) {
                found.push(format!("{}:{}: {}", file.path, number + 1, line.trim()));
            }
        }
    }
    found
}

#[test]
fn words_of_identifiers_are_told_apart() {
    let found: Vec<String> = words("let shard_count = WorkflowId::new(factor);").collect();
    for word in ["shard", "count", "workflow", "id", "new", "factor"] {
        assert!(found.iter().any(|other| other == word), "{word} in {found:?}");
    }
    assert!(!found.iter().any(|other| other == "actor"));
}
