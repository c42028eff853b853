//! Writes JSON text piece by piece. A payload that is an answer by itself goes out as it is: this is the hot
//! path, and the host never looks into a payload. One that is a part of a document is looked at: that of
//! a guest which gave something else than JSON must not break the list in which it stands with others.

use everstate_types::Payload;
use serde::de::IgnoredAny;

/// The content type of every JSON response.
pub(crate) const CONTENT_TYPE: &str = "application/json; charset=utf-8";

/// Writes `text` as a JSON string.
pub(crate) fn push_string(out: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(out, text).expect("writing a string to memory does not fail");
}

/// One JSON object under way.
#[derive(Debug)]
pub(crate) struct ObjectWriter<'a> {
    out: &'a mut Vec<u8>,
    is_empty: bool,
}

impl<'a> ObjectWriter<'a> {
    /// Begins an object at the end of `out`.
    pub(crate) fn new(out: &'a mut Vec<u8>) -> Self {
        out.push(b'{');
        Self { out, is_empty: true }
    }

    /// Writes a field with a string.
    pub(crate) fn string(&mut self, name: &str, value: &str) -> &mut Self {
        push_string(self.key(name), value);
        self
    }

    /// Writes a field with something that is JSON text already.
    pub(crate) fn raw(&mut self, name: &str, json: &str) -> &mut Self {
        self.key(name).extend_from_slice(json.as_bytes());
        self
    }

    /// Writes a field with a payload, or `null`.
    pub(crate) fn payload(&mut self, name: &str, payload: Option<&Payload>) -> &mut Self {
        push_payload(self.key(name), payload);
        self
    }

    /// Writes a field's name and gives the place for its value.
    pub(crate) fn key(&mut self, name: &str) -> &mut Vec<u8> {
        if !self.is_empty {
            self.out.push(b',');
        }
        self.is_empty = false;
        push_string(self.out, name);
        self.out.push(b':');
        self.out
    }

    /// Ends the object.
    pub(crate) fn end(&mut self) {
        self.out.push(b'}');
    }
}

/// Writes a payload, or `null`; one that is not JSON as a string.
pub(crate) fn push_payload(out: &mut Vec<u8>, payload: Option<&Payload>) {
    let text = payload.map_or("null", payload_text);
    match serde_json::from_str::<IgnoredAny>(text) {
        Ok(_) => out.extend_from_slice(text.as_bytes()),
        Err(_) => push_string(out, text),
    }
}

/// The text of a payload; `null` for one without text, so that a document stays well-formed.
pub(crate) fn payload_text(payload: &Payload) -> &str {
    if payload.as_str().trim_ascii().is_empty() { "null" } else { payload.as_str() }
}

#[cfg(test)]
mod tests {
    use everstate_types::Payload;

    use super::ObjectWriter;

    #[test]
    fn object_has_its_fields_in_the_order_of_writing() {
        let mut out = Vec::new();
        ObjectWriter::new(&mut out)
            .string("b", "\"quoted\"\n")
            .payload("a", Some(&Payload::from(r#"{"x": 1}"#)))
            .payload("none", None)
            .payload("empty", Some(&Payload::from("")))
            .payload("broken", Some(&Payload::from("{\"x\"")))
            .end();
        assert_eq!(
            String::from_utf8(out).expect("UTF-8"),
            r#"{"b":"\"quoted\"\n","a":{"x": 1},"none":null,"empty":null,"broken":"{\"x\""}"#
        );
    }
}
