//! A component written by hand, in the text format: it can describe its entities wrongly, and asks of
//! the host what its operations are named for, whether that is allowed or not.

use std::fmt::Write as _;

/// What the component says of its entities.
pub(crate) struct Options {
    /// The entity function.
    pub(crate) name: &'static str,
    /// Operations that change nothing.
    pub(crate) read_only: &'static [&'static str],
    /// In milliseconds.
    pub(crate) time_to_live: Option<u64>,
    /// Fields of the state.
    pub(crate) indexes: &'static [&'static str],
}

/// A component with the entity function `Handmade`. The first letter of an operation decides what it
/// does; what the host refuses becomes its result.
///
/// `s`: set the state to the input, `g`: give the state, `d`: delete it, `v`: its version becomes 7,
/// `i`: the index `color` becomes the input, `t`: it lives for 5 ms, `e`: signal itself at 9 ms past 1970,
/// `o`: start an orchestration, `l`: loop for a while, `x`: trap.
pub(crate) fn handmade(options: &[Options]) -> Vec<u8> {
    component(options, "(export \"describe\" (func $describe-entities))")
}

/// The same; its interface `describe-entities` has a function of another type.
pub(crate) fn handmade_of_other_type() -> Vec<u8> {
    component(&[], "(export \"describe\" (func $other))")
}

/// The same; its interface `describe-entities` has no function.
pub(crate) fn handmade_without_function() -> Vec<u8> {
    component(&[], "(export \"other\" (func $other))")
}

/// The same; asked for its entities, it traps.
pub(crate) fn handmade_that_traps() -> Vec<u8> {
    component(&[], "(export \"describe\" (func $trapping))")
}

fn component(options: &[Options], describe_entities: &str) -> Vec<u8> {
    let mut data = Data::default();
    let functions = data.functions();
    let options = data.options(options);
    let text = include_str!("handmade.wat")
        .replace("{{FUNCTIONS}}", &functions.to_string())
        .replace("{{OPTIONS}}", &options.to_string())
        .replace("{{DATA}}", &data.text())
        .replace("{{DESCRIBE_ENTITIES}}", describe_entities);
    wat::parse_str(text).expect("the text is a component")
}

/// Where the descriptions are in memory; what is below is the component's own.
const BASE: usize = 4_096;

/// Values in the memory of the component, as the canonical ABI lays them out.
#[derive(Default)]
struct Data {
    bytes: Vec<u8>,
}

impl Data {
    /// The list of functions: one entity function. Gives where pointer and length of it are.
    fn functions(&mut self) -> usize {
        let name = self.string("Handmade");
        // The kind: a tag, and room for what starts an HTTP function.
        let function = [words(&name), words(&[1, 0, 0, 0, 0])].concat();
        let list = self.put(&function);
        self.put(&words(&[list, 1]))
    }

    fn options(&mut self, options: &[Options]) -> usize {
        let mut records = Vec::new();
        for of in options {
            let name = self.string(of.name);
            let read_only = self.strings(of.read_only);
            let indexes = self.strings(of.indexes);
            records.extend(words(&name));
            records.extend(words(&read_only));
            records.extend(u64::from(of.time_to_live.is_some()).to_le_bytes());
            records.extend(of.time_to_live.unwrap_or_default().to_le_bytes());
            records.extend(words(&indexes));
        }
        let list = self.put(&records);
        self.put(&words(&[list, options.len()]))
    }

    fn strings(&mut self, texts: &[&str]) -> [usize; 2] {
        let strings: Vec<_> = texts.iter().flat_map(|text| self.string(text)).collect();
        [self.put(&words(&strings)), texts.len()]
    }

    fn string(&mut self, text: &str) -> [usize; 2] {
        [self.put(text.as_bytes()), text.len()]
    }

    fn put(&mut self, bytes: &[u8]) -> usize {
        self.bytes.resize(self.bytes.len().next_multiple_of(8), 0);
        let at = BASE + self.bytes.len();
        self.bytes.extend(bytes);
        at
    }

    fn text(&self) -> String {
        self.bytes.iter().fold(String::new(), |mut text, byte| {
            write!(text, "\\{byte:02x}").expect("a String takes all");
            text
        })
    }
}

fn words(values: &[usize]) -> Vec<u8> {
    let word = |&value| u32::try_from(value).expect("a small number").to_le_bytes();
    values.iter().flat_map(word).collect()
}
