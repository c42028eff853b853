//! Whether payloads that come in with an import are what a host takes elsewhere: JSON, and not too long.

use everstate_types::{EntityRecord, EventKind, OrchestrationRecord, Payload};
use serde::de::IgnoredAny;

/// What is too long for an import, in bytes: what is too long for functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImportLimits {
    /// Longest input, output or other payload.
    pub payload_bytes_max: usize,
    /// Longest state of an entity.
    pub entity_state_bytes_max: usize,
}

impl ImportLimits {
    pub(super) fn check_record(self, record: &OrchestrationRecord) -> Result<(), String> {
        self.check_payload("its input", &record.input)?;
        let output = record.output.iter().map(|output| ("its output", output));
        let status = record.custom_status.iter().map(|status| ("its custom status", status));
        output.chain(status).try_for_each(|(name, payload)| self.check_payload(name, payload))
    }

    pub(super) fn check_event(self, kind: &EventKind) -> Result<(), String> {
        kind.payloads()
            .into_iter()
            .try_for_each(|payload| self.check_payload("its payload", payload))
    }

    pub(super) fn check_entity(self, record: &EntityRecord) -> Result<(), String> {
        if let Some(value) = &record.state.value {
            let (bytes, limit) = (value.len(), self.entity_state_bytes_max);
            if bytes > limit {
                return Err(format!(
                    "its state has {bytes} bytes, limits.entity_state_bytes_max allows {limit}"
                ));
            }
            check_json("its state", value)?;
        }
        let mut fields = record.state.fields.iter();
        fields.try_for_each(|(name, value)| check_json(&format!("its field `{name}`"), value))
    }

    fn check_payload(self, name: &str, payload: &Payload) -> Result<(), String> {
        let (bytes, limit) = (payload.len(), self.payload_bytes_max);
        if bytes > limit {
            return Err(format!(
                "{name} has {bytes} bytes, limits.payload_bytes_max allows {limit}"
            ));
        }
        check_json(name, payload)
    }
}

fn check_json(name: &str, payload: &Payload) -> Result<(), String> {
    match serde_json::from_str::<IgnoredAny>(payload.as_str()) {
        Ok(_) => Ok(()),
        Err(error) => Err(format!("{name} is no JSON: {error}")),
    }
}
