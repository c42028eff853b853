//! What is written is read again, and what is damaged is named.

use everstate_engine::client::ExportedOrchestration;
use everstate_types::{
    ComponentHash, EntityId, EntityLock, EntityRecord, EntityState, EventKind, ExecutionId, Expiry,
    FunctionName, HistoryEvent, InstanceId, LargeId, OrchestrationRecord, Payload, RuntimeStatus,
    Timestamp, TraceContext,
};
use uuid::Uuid;

use super::{Exported, ImportLimits, LineError, checksum, write};

const LIMITS: ImportLimits = ImportLimits { payload_bytes_max: 64, entity_state_bytes_max: 32 };

fn read(text: &[u8]) -> Result<Vec<Exported>, LineError> {
    let imports = super::read(text, LIMITS)?;
    Ok(imports.into_iter().map(|import| import.exported).collect())
}

fn at(millis: u64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn record() -> OrchestrationRecord {
    OrchestrationRecord {
        component: Some(ComponentHash([0xab; 32])),
        status: RuntimeStatus::Running,
        input: Payload::from("{\"a\": 1.50}"),
        tags: vec![("team".to_owned(), "blue".to_owned())],
        updated_at: at(3),
        ..OrchestrationRecord::pending(
            FunctionName::new("Nap").expect("a name"),
            ExecutionId::new(Uuid::from_u128(1)),
            at(1),
        )
    }
}

fn orchestration() -> Exported {
    let timer = EventKind::TimerCreated { fire_at: at(9) };
    let raised = EventKind::EventRaised { name: "go".to_owned(), input: Payload::from("\"é\"") };
    let history = vec![
        HistoryEvent::new(at(2), EventKind::OrchestratorStarted),
        HistoryEvent::of_action(0, at(2), timer),
    ];
    let exported = ExportedOrchestration { record: record(), history, waiting: vec![raised] };
    let id = InstanceId::orchestration("nap 1").expect("an id");
    Exported::Orchestration(id, Box::new(exported))
}

fn entity() -> Exported {
    let state = EntityState {
        value: Some(Payload::from("7")),
        version: 2,
        fields: vec![("owner".to_owned(), Payload::from("\"eve\""))],
        time_to_live_ms: Some(u64::MAX),
    };
    let record = EntityRecord {
        state,
        large: None,
        last_operation_at: at(5),
        lock: None,
        expiry: Some(Expiry { due: at(8), time_to_live_ms: 3 }),
    };
    Exported::Entity(EntityId::new("Counter", "a@b").expect("an id"), Box::new(record))
}

fn lines(exported: &Exported) -> Vec<String> {
    let text = String::from_utf8(write(exported, at(10))).expect("UTF-8");
    text.lines().map(str::to_owned).collect()
}

fn problem(lines: &[String]) -> String {
    read(lines.join("\n").as_bytes()).expect_err("it is damaged").to_string()
}

/// A line with a checksum that is right.
fn sealed(number: u64, data: &str) -> String {
    let crc32 = checksum(number, data);
    format!(r#"{{"line":{number},"crc32":"{crc32}","data":{data}}}"#)
}

#[test]
fn instances_are_read_as_they_were_written() {
    for exported in [orchestration(), entity()] {
        assert_eq!(read(&write(&exported, at(10))), Ok(vec![exported]));
    }
    let both = [write(&entity(), at(1)), write(&orchestration(), at(2))].concat();
    assert_eq!(read(&both), Ok(vec![entity(), orchestration()]));
    assert_eq!(read(b"\n \n"), Ok(Vec::new()));
}

/// Others may read these lines, and a later version has to.
#[test]
fn format_is_what_it_was() {
    let expected = [
        (1, r#"{"export":{"format":1,"kind":"orchestration","id":"nap 1","exportedTime":10}}"#),
        (
            2,
            r#"{"record":{"awaits_lock":false,"component":"abababababababababababababababababababababababababababababababab","created_at":1,"custom_status":null,"execution_id":"00000000-0000-0000-0000-000000000001","failure":null,"input":"{\"a\": 1.50}","lock_epoch":0,"name":"Nap","output":null,"parent":null,"rewinds":0,"scheduled_start":null,"status":"Running","tags":[["team","blue"]],"trace":null,"updated_at":3}}"#,
        ),
        (3, r#"{"event":{"event_id":-1,"timestamp":2,"kind":"OrchestratorStarted"}}"#),
        (4, r#"{"event":{"event_id":0,"timestamp":2,"kind":{"TimerCreated":{"fire_at":9}}}}"#),
        (5, r#"{"waiting":{"EventRaised":{"name":"go","input":"\"é\""}}}"#),
        (6, r#"{"end":{"lines":4}}"#),
    ];
    let written = lines(&orchestration());
    assert_eq!(written.len(), expected.len());
    for (line, (number, data)) in written.iter().zip(expected) {
        let crc32 = checksum(number, data);
        assert_eq!(*line, format!(r#"{{"line":{number},"crc32":"{crc32}","data":{data}}}"#));
    }
    assert_eq!(checksum(1, "{}"), "a2508d22");
    let entity = lines(&entity());
    assert!(entity[1].ends_with(
        r#""data":{"record":{"expiry":{"due":8,"time_to_live_ms":3},"large":null,"last_operation_at":5,"lock":null,"state":{"fields":[["owner","\"eve\""]],"time_to_live_ms":18446744073709551615,"value":"7","version":2}}}}"#
    ), "{}", entity[1]);
}

#[test]
fn what_belongs_to_a_host_stays_there() {
    let Exported::Orchestration(id, mut traced) = orchestration() else { unreachable!() };
    let text = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    traced.record.trace = TraceContext::parse(text).map(Box::new);
    assert!(traced.record.trace.is_some());
    let traced = Exported::Orchestration(id, traced);
    assert_eq!(read(&write(&traced, at(1))), Ok(vec![orchestration()]));

    let Exported::Entity(id, mut held) = entity() else { unreachable!() };
    held.large = Some(LargeId(7));
    held.lock = Some(EntityLock {
        instance_id: InstanceId::orchestration("holder").expect("an id"),
        execution_id: ExecutionId::new(Uuid::from_u128(2)),
        request_id: Uuid::from_u128(3),
        since: at(1),
    });
    assert_eq!(read(&write(&Exported::Entity(id, held), at(1))), Ok(vec![entity()]));
}

#[test]
fn every_flipped_bit_and_every_missing_line_is_named() {
    let good = lines(&orchestration());
    for index in 0..good.len() {
        let mut bad = good.clone();
        bad.remove(index);
        let found = problem(&bad);
        let at_end = index == good.len() - 1;
        let line = if at_end { index } else { index + 1 };
        assert!(found.starts_with(&format!("line {line}: ")), "without {index}: {found}");

        for at in 0..good[index].len() {
            let mut bytes: Vec<Vec<u8>> =
                good.iter().map(|line| line.clone().into_bytes()).collect();
            bytes[index][at] ^= 1;
            let error = read(&bytes.join(&b'\n')).expect_err("it is damaged");
            // A line break more is another line.
            assert!(error.line == index + 1 || error.line == index + 2, "{index}, {at}: {error}");
        }
    }
}

#[test]
fn lines_that_do_not_belong_together_are_refused() {
    let good = lines(&entity());
    for (at, data, expected) in [
        (0, r#"{"end":{"lines":0}}"#, "line 1: an export does not begin so"),
        (
            0,
            r#"{"export":{"format":2,"kind":"entity","id":"@a@b","exportedTime":1}}"#,
            "line 1: it has export format 2, this version reads 1",
        ),
        (
            1,
            r#"{"event":{"event_id":-1,"timestamp":2,"kind":"OrchestratorStarted"}}"#,
            "line 2: it is not in its place",
        ),
        (1, r#"{"unknown":{}}"#, "line 2: this version cannot read it"),
        (1, r#"{"record":{}}"#, "line 2: its record cannot be read"),
        (2, r#"{"end":{"lines":2}}"#, "line 3: there are 1 lines between, 2 were written"),
    ] {
        let mut bad = good.clone();
        bad[at] = sealed(at as u64 + 1, data);
        let found = problem(&bad);
        assert!(found.starts_with(expected), "{found}");
    }
    for (id, kind) in
        [("nap", "entity"), ("@", "entity"), ("a/b", "orchestration"), ("@a@b", "orchestration")]
    {
        let mut bad = if kind == "entity" { good.clone() } else { lines(&orchestration()) };
        bad[0] = sealed(
            1,
            &format!(r#"{{"export":{{"format":1,"kind":"{kind}","id":"{id}","exportedTime":1}}}}"#),
        );
        let found = problem(&bad);
        assert!(found.starts_with("line 1: its id is none"), "{id}: {found}");
    }
}

/// Whoever makes lines can make checksums, too.
#[test]
fn what_no_host_could_have_exported_is_refused_by_its_line() {
    let long = format!("\\\"{}\\\"", "x".repeat(100));
    let long_input = format!(r#""input":"{long}""#);
    let long_state = format!(r#""value":"{long}""#);
    let input = r#""input":"{\"a\": 1.50}""#;
    let end_of_time = r#""updated_at":18446744073709551615"#;
    let output = r#""output":"7""#;
    for (exported, line, from, to, expected) in [
        (orchestration(), 2, input, r#""input":"{""#, "its input is no JSON"),
        (orchestration(), 2, input, &*long_input, "its input has 102 bytes, limits.payload"),
        (
            orchestration(),
            2,
            r#""custom_status":null"#,
            r#""custom_status":"{""#,
            "its custom status is",
        ),
        (orchestration(), 2, r#""output":null"#, r#""output":"{""#, "its output is no JSON"),
        (orchestration(), 2, r#""output":null"#, output, "it is Running and has an output"),
        (orchestration(), 2, "Running", "Pending", "it is Pending and has begun"),
        (orchestration(), 2, "Running", "Completed", "its history does not fit"),
        (orchestration(), 2, r#""updated_at":3"#, end_of_time, "its times are none"),
        (orchestration(), 2, r#""created_at":1"#, r#""created_at":9"#, "its times are none"),
        (orchestration(), 2, r#""rewinds""#, r#""foo":1,"rewinds""#, "unknown field `foo`"),
        (orchestration(), 3, r#""timestamp""#, r#""foo":1,"timestamp""#, "unknown field `foo`"),
        (orchestration(), 4, r#""fire_at""#, r#""foo":1,"fire_at""#, "unknown field `foo`"),
        (
            orchestration(),
            4,
            r#""timestamp":2"#,
            r#""timestamp":1"#,
            "is older than the one before",
        ),
        (orchestration(), 5, r#""input":"\"é\"""#, r#""input":"é""#, "its payload is no JSON"),
        (orchestration(), 5, "EventRaised", "EventSent", "missing field"),
        (entity(), 2, r#""value":"7""#, r#""value":"{""#, "its state is no JSON"),
        (entity(), 2, r#""value":"7""#, r#""value":"null""#, "it has no state"),
        (entity(), 2, r#""value":"7""#, r#""value":null"#, "it has no state"),
        (
            entity(),
            2,
            r#""value":"7""#,
            &*long_state,
            "its state has 102 bytes, limits.entity_state",
        ),
        (entity(), 2, r#""\"eve\"""#, r#""{""#, "its field `owner` is no JSON"),
        (entity(), 2, r#""version""#, r#""foo":1,"version""#, "unknown field `foo`"),
        (entity(), 2, r#""large":null"#, r#""large":5"#, "belong to another host"),
        (
            entity(),
            2,
            r#""last_operation_at":5"#,
            r#""last_operation_at":253402300800000"#,
            "is none",
        ),
    ] {
        let mut bad = lines(&exported);
        let (_, data) = bad[line - 1].split_once(r#""data":"#).expect("a line has data");
        let data = &data[..data.len() - 1];
        assert!(data.contains(from), "{from} in {data}");
        bad[line - 1] = sealed(line as u64, &data.replacen(from, to, 1));
        // Behind another one: lines are those of the body.
        let good = lines(&entity());
        let found = problem(&[good.clone(), bad].concat());
        assert!(found.starts_with(&format!("line {}: ", good.len() + line)), "{to}: {found}");
        assert!(found.contains(expected), "{to}: {found}");
    }
}
