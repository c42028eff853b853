//! Which process holds a lock or listens on a port, as Linux tells in `/proc`. Elsewhere nobody is found.

use std::fmt;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// The state of a socket that listens, in `/proc/net/tcp`.
const LISTEN: &str = "0A";

/// A process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Owner {
    pid: u32,
    name: String,
}

impl Owner {
    fn of(pid: u32) -> Self {
        let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        Self { pid, name: name.trim().to_owned() }
    }

    /// Whether it is a host.
    pub(super) fn is_everstate(&self) -> bool {
        // The system keeps 15 characters of a name; the second is the host of the tests.
        self.name.starts_with("everstate") || self.name.starts_with("host-under-test")
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pid, name } = self;
        if name.is_empty() {
            write!(f, "process {pid}")
        } else {
            write!(f, "{name} (process {pid})")
        }
    }
}

/// Who holds the lock of a file.
pub(super) fn of_lock(file: &Path) -> Option<Owner> {
    let metadata = std::fs::metadata(file).ok()?;
    let locks = std::fs::read_to_string("/proc/locks").ok()?;
    holder(&locks, metadata.ino()).map(Owner::of)
}

/// `1: POSIX  ADVISORY  WRITE 4711 fe:01:1234567 0 EOF`: the fifth word is the process, the sixth ends with
/// the file.
fn holder(locks: &str, file: u64) -> Option<u32> {
    locks.lines().find_map(|line| {
        let words: Vec<&str> = line.split_whitespace().filter(|word| *word != "->").collect();
        let inode = words.get(5)?.rsplit(':').next()?.parse::<u64>().ok()?;
        let pid = words.get(4)?.parse::<u32>().ok()?;
        (inode == file).then_some(pid)
    })
}

/// Who listens on the port of an address.
pub(super) fn of_port(address: SocketAddr) -> Option<Owner> {
    let sockets = ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .filter_map(|table| std::fs::read_to_string(table).ok())
        .find_map(|table| listener(&table, address.port()))?;
    let wanted = format!("socket:[{sockets}]");
    let processes = std::fs::read_dir("/proc").ok()?.flatten();
    processes
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .find(|pid| has_open(*pid, &wanted))
        .map(Owner::of)
}

/// The inode of the socket that listens on a port.
fn listener(table: &str, port: u16) -> Option<u64> {
    table.lines().skip(1).find_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (_, local_port) = words.get(1)?.rsplit_once(':')?;
        let is_it = u16::from_str_radix(local_port, 16).ok()? == port && *words.get(3)? == LISTEN;
        if is_it { words.get(9)?.parse().ok() } else { None }
    })
}

fn has_open(pid: u32, wanted: &str) -> bool {
    std::fs::read_dir(format!("/proc/{pid}/fd")).is_ok_and(|descriptors| {
        descriptors.flatten().any(|descriptor| {
            std::fs::read_link(descriptor.path()).is_ok_and(|link| link.to_string_lossy() == wanted)
        })
    })
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::{Owner, holder, listener, of_port};

    #[test]
    fn holder_of_a_lock_is_found_by_the_file() {
        let locks = "1: POSIX  ADVISORY  WRITE 4711 fe:01:1234567 0 EOF\n\
                     1: -> POSIX  ADVISORY  WRITE 4712 fe:01:1234567 0 EOF\n\
                     2: FLOCK  ADVISORY  READ 99 00:2e:7 0 EOF\n";
        assert_eq!(holder(locks, 1_234_567), Some(4711));
        assert_eq!(holder(locks, 7), Some(99));
        assert_eq!(holder(locks, 8), None);
    }

    #[test]
    fn listener_is_told_from_a_connection() {
        let table = "  sl  local_address rem_address   st tx rx tr when retrnsmt uid timeout inode\n\
             0: 0100007F:1B9F 0100007F:D431 01 0:0 00:0 0 0 0 11 1 0\n\
             1: 0100007F:1B9F 00000000:0000 0A 0:0 00:0 0 0 0 12 1 0\n";
        assert_eq!(listener(table, 7071), Some(12));
        assert_eq!(listener(table, 7072), None);
    }

    #[test]
    fn port_of_this_process_is_its_own() {
        let socket = TcpListener::bind("127.0.0.1:0").expect("a port");
        let owner = of_port(socket.local_addr().expect("an address"));
        assert_eq!(owner.map(|owner| owner.pid), Some(Owner::of(std::process::id()).pid));
    }
}
