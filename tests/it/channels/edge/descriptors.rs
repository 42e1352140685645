//! At the limit of file descriptors: open connections go on, new ones wait, and nobody spins.
//!
//! The limit is a process's own, so the server of this test runs in a process of its own: this binary again, with one
//! ignored test as its program.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use heronry::telemetry::{self, Event};
use heronry_channels::Limits;
use tokio::net::TcpStream;

use crate::channels::room::Lab;
use crate::support::{Client, TestServer, within};

const DESCRIPTORS: usize = 64;

/// The program of the server: prints its port, then its events about accepting; ends with its standard input.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the server of the test below"]
async fn server_with_few_descriptors() {
    telemetry::attach(|event: &dyn Event| {
        if event.name().starts_with("heronry.endpoint.accept") {
            say(event.name());
        }
    });
    let server = TestServer::of(Lab::default(), Limits::default()).await;
    say(&format!("port {}", server.addr.port()));
    let gone = tokio::task::spawn_blocking(|| std::io::stdin().read_line(&mut String::new()));
    drop(gone.await);
    say(&format!("cpu {}", cpu_ticks()));
}

/// Past the test runner's capture.
fn say(line: &str) {
    writeln!(std::io::stdout(), "\n>{line}").expect("the other side reads");
}

/// Processor time of this process, in ticks of 10 ms.
fn cpu_ticks() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("/proc is there");
    let fields: Vec<&str> = stat.rsplit(") ").next().expect("a name").split(' ').collect();
    fields[11].parse::<u64>().expect("utime") + fields[12].parse::<u64>().expect("stime")
}

struct Server {
    child: Child,
    lines: std::sync::mpsc::Receiver<String>,
}

impl Server {
    fn start() -> Self {
        let binary = std::env::current_exe().expect("this program has a path");
        let mut child = Command::new("bash")
            .arg("-c")
            .arg(format!("ulimit -n {DESCRIPTORS}; exec \"$0\" \"$@\""))
            .arg(binary)
            .args(["--exact", "channels::edge::descriptors::server_with_few_descriptors"])
            .args(["--ignored", "--nocapture", "--test-threads=1"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("bash is there");
        let stdout = BufReader::new(child.stdout.take().expect("it is piped"));
        let (into, lines) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                if let Some(line) = line.strip_prefix('>') {
                    drop(into.send(line.to_owned()));
                }
            }
        });
        Self { child, lines }
    }

    fn line(&self) -> String {
        self.lines.recv_timeout(Duration::from_secs(10)).expect("the server says something")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_the_descriptor_limit_open_connections_stay_and_new_ones_wait() {
    let mut server = Server::start();
    let port = server.line().strip_prefix("port ").and_then(|port| port.parse().ok()).expect("its port");
    let addr = SocketAddr::from(([127, 0, 0, 1], port));
    let mut member = Client::connect(addr, "").await;
    // More than it has descriptors for: the kernel takes them all.
    let mut crowd = Vec::new();
    for _ in 0..DESCRIPTORS {
        crowd.push(TcpStream::connect(addr).await.expect("the kernel accepts"));
    }
    assert_eq!(server.line(), "heronry.endpoint.accept_failed");
    let waiting = Client::connect(addr, "");
    let mut waiting = std::pin::pin!(waiting);
    // It stays at its limit for a while: open connections are served, the new one waits, and once is said once.
    for _ in 0..15 {
        member.assert_alive().await;
        let patience = Duration::from_millis(100);
        assert!(tokio::time::timeout(patience, waiting.as_mut()).await.is_err(), "there was no room");
    }
    drop(crowd);
    let mut waited = within("room for the one that waited", waiting).await;
    waited.assert_alive().await;
    member.assert_alive().await;
    assert_eq!(server.line(), "heronry.endpoint.accept_recovered", "and nothing was said in between");
    drop(server.child.stdin.take());
    let cpu = server.line();
    let ticks: u64 = cpu.strip_prefix("cpu ").and_then(|ticks| ticks.parse().ok()).expect("its time");
    assert!(ticks < 100, "{ticks} ticks of 10 ms: it did not spin");
}
