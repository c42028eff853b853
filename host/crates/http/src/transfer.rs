//! Instances as JSON lines: what an export writes and an import reads. docs/http-api.md has the format.
//!
//! Each line says where it stands and has a checksum, so that an import can name the line that was lost,
//! moved or damaged. Several exports may follow each other.

use everstate_engine::client::{ExportProblem, ExportedOrchestration, check_exported_entity};
use everstate_types::{
    ComponentHash, EntityId, EntityRecord, EventKind, HistoryEvent, InstanceId,
    OrchestrationRecord, Timestamp,
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};

pub use self::payloads::ImportLimits;

mod payloads;

/// The version of the format.
const FORMAT: u32 = 1;

/// An instance that was exported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Exported {
    /// An orchestration.
    Orchestration(InstanceId, Box<ExportedOrchestration>),
    /// An entity, as it is stored but for its lock.
    Entity(EntityId, Box<EntityRecord>),
}

/// What is wrong with lines that are to be imported.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub(crate) struct LineError {
    /// Which line; the first is 1.
    pub(crate) line: usize,
    /// What is wrong.
    pub(crate) problem: String,
}

/// A line.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line<'a> {
    /// Its number in the export; the first is 1.
    line: u64,
    /// CRC-32 (IEEE) of the number, a colon and the text of `data`, in hexadecimal digits.
    crc32: String,
    #[serde(borrow)]
    data: &'a RawValue,
}

/// What a line says.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
enum Data {
    /// The first one: what follows.
    Export(Header),
    /// What is stored of the instance, beside a history.
    Record(Value),
    /// An event of the history, in order.
    Event(HistoryEvent),
    /// Something that has come in and is not in the history, in order.
    Waiting(EventKind),
    /// The last one.
    End {
        /// How many lines say something between this and the first.
        lines: u64,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Header {
    format: u32,
    kind: Kind,
    id: String,
    exported_time: Timestamp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Kind {
    Orchestration,
    Entity,
}

/// The lines of an instance.
pub(crate) fn write(exported: &Exported, now: Timestamp) -> Vec<u8> {
    let mut out = Writer::default();
    let header = |kind, id: String| Header { format: FORMAT, kind, id, exported_time: now };
    match exported {
        Exported::Orchestration(id, exported) => {
            let ExportedOrchestration { record, history, waiting } = &**exported;
            out.line(&Data::Export(header(Kind::Orchestration, id.to_string())));
            out.line(&Data::Record(record_to_json(record)));
            history.iter().for_each(|event| out.line(&Data::Event(event.clone())));
            waiting.iter().for_each(|kind| out.line(&Data::Waiting(kind.clone())));
        }
        Exported::Entity(id, record) => {
            out.line(&Data::Export(header(Kind::Entity, id.to_string())));
            out.line(&Data::Record(entity_to_json(record)));
        }
    }
    let lines = out.number - 1;
    out.line(&Data::End { lines });
    out.text
}

/// An instance that some lines have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Import {
    /// The line that has its record.
    pub(crate) line: usize,
    pub(crate) exported: Exported,
}

/// The instances in some lines, in order. Each is one that a host could have exported.
pub(crate) fn read(text: &[u8], limits: ImportLimits) -> Result<Vec<Import>, LineError> {
    let mut read = Vec::new();
    let mut under_way: Option<Reader> = None;
    let mut last = 0;
    for (index, text) in text.split(|byte| *byte == b'\n').enumerate() {
        if text.trim_ascii().is_empty() {
            continue;
        }
        let line = index + 1;
        last = line;
        let at = |problem| LineError { line, problem };
        let (number, data) = parse(text).map_err(at)?;
        let due = under_way.as_ref().map_or(1, |reader| reader.number + 1);
        if number != due {
            return Err(at(format!("it is line {number} of its export, where {due} is due")));
        }
        match under_way.as_mut() {
            None => under_way = Some(Reader::begin(data).map_err(at)?),
            Some(reader) => {
                let is_last = reader.take(data, line, limits).map_err(at)?;
                if is_last && let Some(reader) = under_way.take() {
                    read.push(reader.finish()?);
                }
            }
        }
    }
    if under_way.is_some() {
        let problem = "the export has no end: lines are missing behind this one".to_owned();
        return Err(LineError { line: last, problem });
    }
    Ok(read)
}

#[derive(Default)]
struct Writer {
    text: Vec<u8>,
    number: u64,
}

impl Writer {
    fn line(&mut self, data: &Data) {
        self.number += 1;
        let data = serde_json::value::to_raw_value(data).expect("records and events are JSON");
        let crc32 = checksum(self.number, data.get());
        let line = Line { line: self.number, crc32, data: &data };
        serde_json::to_writer(&mut self.text, &line).expect("writing to memory does not fail");
        self.text.push(b'\n');
    }
}

fn checksum(number: u64, data: &str) -> String {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(format!("{number}:").as_bytes());
    hasher.update(data.as_bytes());
    format!("{:08x}", hasher.finalize())
}

fn parse(line: &[u8]) -> Result<(u64, Data), String> {
    let text = str::from_utf8(line).map_err(|_| "it is not UTF-8".to_owned())?;
    let line: Line<'_> = serde_json::from_str(text)
        .map_err(|error| format!("it is no line of an export: {error}"))?;
    if line.crc32 != checksum(line.line, line.data.get()) {
        return Err("its checksum does not match".to_owned());
    }
    let data = serde_json::from_str(line.data.get())
        .map_err(|error| format!("this version cannot read it: {error}"))?;
    Ok((line.line, data))
}

/// An export that is being read.
struct Reader {
    id: ExportedId,
    /// The number of the last line.
    number: u64,
    record: Option<Record>,
    history: Vec<HistoryEvent>,
    waiting: Vec<EventKind>,
    /// Which lines have the record and what follows it.
    lines: Vec<usize>,
}

enum ExportedId {
    Orchestration(InstanceId),
    Entity(EntityId),
}

enum Record {
    Orchestration(Box<OrchestrationRecord>),
    Entity(Box<EntityRecord>),
}

impl Reader {
    fn begin(data: Data) -> Result<Self, String> {
        let Data::Export(header) = data else {
            return Err("an export does not begin so".to_owned());
        };
        let Header { format, kind, id, .. } = header;
        if format != FORMAT {
            return Err(format!("it has export format {format}, this version reads {FORMAT}"));
        }
        let (history, waiting, lines) = (Vec::new(), Vec::new(), Vec::new());
        Ok(Self { id: exported_id(kind, &id)?, number: 1, record: None, history, waiting, lines })
    }

    /// Takes in a line. True: it was the last.
    fn take(&mut self, data: Data, line: usize, limits: ImportLimits) -> Result<bool, String> {
        self.number += 1;
        let has_history = matches!(self.record, Some(Record::Orchestration(_)));
        match data {
            Data::Record(record) if self.record.is_none() => {
                self.record = Some(self.read_record(record, limits)?);
            }
            Data::Event(event) if has_history && self.waiting.is_empty() => {
                limits.check_event(&event.kind)?;
                self.history.push(event);
            }
            Data::Waiting(kind) if has_history => {
                limits.check_event(&kind)?;
                self.waiting.push(kind);
            }
            Data::End { lines } if self.record.is_some() => {
                let read = self.number - 2;
                return match lines == read {
                    true => Ok(true),
                    false => Err(format!("there are {read} lines between, {lines} were written")),
                };
            }
            _ => return Err("it is not in its place".to_owned()),
        }
        self.lines.push(line);
        Ok(false)
    }

    fn read_record(&self, record: Value, limits: ImportLimits) -> Result<Record, String> {
        match self.id {
            ExportedId::Orchestration(_) => {
                let record = record_from_json(record)?;
                limits.check_record(&record)?;
                Ok(Record::Orchestration(Box::new(record)))
            }
            ExportedId::Entity(_) => {
                let record: EntityRecord = serde_json::from_value(record)
                    .map_err(|error| format!("its record cannot be read: {error}"))?;
                limits.check_entity(&record)?;
                check_exported_entity(&record)?;
                Ok(Record::Entity(Box::new(record)))
            }
        }
    }

    fn finish(self) -> Result<Import, LineError> {
        let Self { id, record, history, waiting, lines, .. } = self;
        let line = lines.first().copied().unwrap_or_default();
        let exported = match (id, record) {
            (ExportedId::Orchestration(id), Some(Record::Orchestration(record))) => {
                let exported = ExportedOrchestration { record: *record, history, waiting };
                exported.check().map_err(|ExportProblem { event, reason }| {
                    let at = event.and_then(|event| lines.get(event + 1)).copied();
                    LineError { line: at.unwrap_or(line), problem: reason }
                })?;
                Exported::Orchestration(id, Box::new(exported))
            }
            (ExportedId::Entity(id), Some(Record::Entity(record))) => Exported::Entity(id, record),
            _ => return Err(LineError { line, problem: "it has no record".to_owned() }),
        };
        Ok(Import { line, exported })
    }
}

fn exported_id(kind: Kind, id: &str) -> Result<ExportedId, String> {
    let bad_id = |error: &dyn std::fmt::Display| format!("its id is none: {error}");
    match kind {
        Kind::Orchestration => InstanceId::orchestration(id)
            .map(ExportedId::Orchestration)
            .map_err(|error| bad_id(&error)),
        Kind::Entity => {
            let parts = id.strip_prefix('@').and_then(|rest| rest.split_once('@'));
            let (name, key) = parts.ok_or_else(|| bad_id(&id))?;
            EntityId::new(name, key).map(ExportedId::Entity).map_err(|error| bad_id(&error))
        }
    }
}

/// A record without the trace that it belongs to here, and with its component as people write it.
fn record_to_json(record: &OrchestrationRecord) -> Value {
    let without_trace = OrchestrationRecord { trace: None, ..record.clone() };
    let mut value = serde_json::to_value(without_trace).expect("a record is JSON");
    value["component"] = json!(record.component.map(|component| component.to_string()));
    value
}

fn record_from_json(mut value: Value) -> Result<OrchestrationRecord, String> {
    if let Some(text) = value["component"].as_str() {
        let component =
            ComponentHash::from_hex(text).ok_or_else(|| format!("`{text}` is no component"))?;
        value["component"] = json!(component);
    }
    let record: OrchestrationRecord = serde_json::from_value(value)
        .map_err(|error| format!("its record cannot be read: {error}"))?;
    match record.trace {
        None => Ok(record),
        Some(_) => Err("its trace belongs to another host".to_owned()),
    }
}

/// A record without what belongs to this host: its lock, and where a large value is stored.
fn entity_to_json(record: &EntityRecord) -> Value {
    let record = EntityRecord { lock: None, large: None, ..record.clone() };
    serde_json::to_value(record).expect("a record is JSON")
}

#[cfg(test)]
#[path = "transfer_tests.rs"]
mod tests;
