//! The attempts: what the standard library and WASI give to whoever asks.

use std::collections::HashMap;
use std::hint::black_box;
use std::io::{IsTerminal, Read};
use std::net::{TcpListener, TcpStream, ToSocketAddrs, UdpSocket};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::Serialize;
use wasip2::clocks::monotonic_clock;
use wasip2::filesystem::preopens;
use wasip2::http::outgoing_handler;
use wasip2::http::types::{Fields, OutgoingRequest, Scheme};
use wasip2::random::{insecure, insecure_seed, random};

/// All that is seen of the world.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct World {
    clocks: Clocks,
    chance: Chance,
    process: Process,
    files: Files,
    /// What each attempt to reach another machine gave, by its name.
    network: Vec<(&'static str, Result<String, String>)>,
    /// The bits of values that are no numbers.
    not_a_number: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Clocks {
    /// Milliseconds since 1970-01-01T00:00:00Z.
    wall_ms: u128,
    monotonic_ns: u64,
    /// Whether either moved while the guest computed.
    moves: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Chance {
    bytes: Vec<u8>,
    number: u64,
    insecure_bytes: Vec<u8>,
    insecure_number: u64,
    insecure_seed: (u64, u64),
    /// The keys of a hash map as they come.
    hash_order: Vec<u32>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Process {
    variables: Vec<(String, String)>,
    arguments: Vec<String>,
    /// What standard input gives.
    input: Result<String, String>,
    is_terminal: bool,
    thread: Result<u32, String>,
    parallelism: Result<usize, String>,
    /// Where a value on the heap and one on the stack are.
    addresses: (usize, usize),
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Files {
    /// Folders that the host opened for the guest.
    preopens: Vec<String>,
    read: Result<String, String>,
    written: Result<(), String>,
    listed: Result<usize, String>,
}

impl World {
    pub(crate) fn seen() -> Self {
        Self {
            clocks: Clocks::seen(),
            chance: Chance::seen(),
            process: Process::seen(),
            files: Files::seen(),
            network: network(),
            not_a_number: not_a_number(),
        }
    }
}

impl Clocks {
    fn seen() -> Self {
        let start = Instant::now();
        let now = wall();
        let moves = (0..10_000)
            .any(|_| black_box(start.elapsed()) > Duration::ZERO || black_box(wall()) != now);
        Self { wall_ms: now.as_millis(), monotonic_ns: monotonic_clock::now(), moves }
    }
}

#[expect(clippy::disallowed_methods, reason = "to see what the sandbox makes of it")]
fn wall() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

impl Chance {
    fn seen() -> Self {
        let map: HashMap<u32, ()> = (0..64).map(|key| (key, ())).collect();
        Self {
            bytes: random::get_random_bytes(16),
            number: random::get_random_u64(),
            insecure_bytes: insecure::get_insecure_random_bytes(16),
            insecure_number: insecure::get_insecure_random_u64(),
            insecure_seed: insecure_seed::insecure_seed(),
            hash_order: map.into_keys().collect(),
        }
    }
}

impl Process {
    fn seen() -> Self {
        let mut input = String::new();
        let read = std::io::stdin().read_to_string(&mut input).map_err(|error| error.to_string());
        let thread = std::thread::Builder::new().spawn(|| 7);
        let thread = thread.map_err(|error| error.to_string());
        let value = 0_u8;
        let on_heap = Box::new(value);
        Self {
            variables: std::env::vars().collect(),
            arguments: std::env::args().collect(),
            input: read.map(|_| input),
            is_terminal: std::io::stdin().is_terminal() || std::io::stdout().is_terminal(),
            thread: thread.map(|thread| thread.join().unwrap_or_default()),
            parallelism: std::thread::available_parallelism()
                .map(usize::from)
                .map_err(|error| error.to_string()),
            addresses: (
                std::ptr::from_ref(black_box(&*on_heap)).addr(),
                std::ptr::from_ref(black_box(&value)).addr(),
            ),
        }
    }
}

impl Files {
    fn seen() -> Self {
        let text = |error: std::io::Error| error.to_string();
        Self {
            preopens: preopens::get_directories().into_iter().map(|(_, path)| path).collect(),
            read: std::fs::read_to_string("/etc/hostname").map_err(text),
            written: std::fs::write("/tmp/file", "text").map_err(text),
            listed: std::fs::read_dir("/").map(Iterator::count).map_err(text),
        }
    }
}

fn network() -> Vec<(&'static str, Result<String, String>)> {
    let io = |result: std::io::Result<String>| result.map_err(|error| error.to_string());
    let connected = TcpStream::connect(("127.0.0.1", 80)).map(|_| "connected".to_owned());
    let listens = TcpListener::bind(("127.0.0.1", 0)).map(|_| "listens".to_owned());
    let bound = UdpSocket::bind(("127.0.0.1", 0)).map(|_| "bound".to_owned());
    let resolved = ("localhost", 80).to_socket_addrs().map(|found| format!("{found:?}"));
    vec![
        ("connect", io(connected)),
        ("listen", io(listens)),
        ("bind", io(bound)),
        ("resolve", io(resolved)),
        ("http", http()),
    ]
}

fn http() -> Result<String, String> {
    let request = OutgoingRequest::new(Fields::new());
    let is_set = request.set_scheme(Some(&Scheme::Http)).is_ok()
        && request.set_authority(Some("localhost")).is_ok()
        && request.set_path_with_query(Some("/")).is_ok();
    if !is_set {
        return Err("the request could not be made".to_owned());
    }
    match outgoing_handler::handle(request, None) {
        Ok(_) => Ok("sent".to_owned()),
        Err(code) => Err(format!("{code:?}")),
    }
}

/// Values that are no numbers, made in ways whose sign and payload a processor may choose.
fn not_a_number() -> Vec<String> {
    let zero = black_box(0.0_f64);
    let infinity = black_box(f64::INFINITY);
    let (other_zero, other_infinity) = (black_box(zero), black_box(infinity));
    let odd = black_box(f64::from_bits(0xfff8_dead_beef_0001));
    let small_odd = black_box(f32::from_bits(0xffc1_2345));
    [
        zero / other_zero,
        infinity - other_infinity,
        zero * infinity,
        (-infinity).sqrt(),
        odd + 1.0,
        odd * zero,
    ]
    .into_iter()
    .map(|value| format!("{:016x}", value.to_bits()))
    .chain([format!("{:08x}", (small_odd + 1.0).to_bits())])
    .collect()
}

/// Ends the guest, if the host is as it should be.
pub(crate) fn trap(how: &str) {
    match how {
        #[expect(clippy::disallowed_methods, reason = "to see what the sandbox makes of it")]
        "sleep" => std::thread::sleep(Duration::from_millis(1)),
        "poll" => monotonic_clock::subscribe_instant(monotonic_clock::now() + 1).block(),
        "exit" => std::process::exit(0),
        "too much chance" => drop(random::get_random_bytes(1 << 30)),
        _ => {}
    }
}
