//! Many clients on one thread: connections that upgrade, join a topic each, and hand what they get to the scenario.
//!
//! One `epoll`, edge-triggered; one buffer that all read into, so that ten thousand clients take little memory; what a
//! scenario sends while it looks at what came goes out in one write.

use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::time::Duration;

use mio::net::TcpStream;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec};
use socket2::{Domain, Socket, Type};
use tokio::time::Instant;

use super::latency::Latencies;
use crate::Error;
use crate::wire::{self, Message, Opcode};

/// Connections that are being made at a time, unless a scenario says when.
const CONCURRENCY: usize = 100;
/// Addresses that connections come from, 127.0.0.1 and up: each has ports of its own.
const SOURCES: usize = 16;
/// Longer than any scenario may take: what has not come by then does not come.
const TIME_MAX: Duration = Duration::from_secs(60);
const READ_BYTES: usize = 256 << 10;
const EVENTS: usize = 1_024;
/// How long one turn waits for anything at most.
const TURN: Duration = Duration::from_millis(100);
const TICK: Token = Token(usize::MAX);
/// The receive buffer of a connection that will stop reading, so that it is full soon.
const STALLED_RECEIVE_BYTES: usize = 8 << 10;

/// What happens to a client.
#[derive(Debug)]
pub(super) enum Event<'a> {
    /// It has joined its topic, so long after it began to connect.
    Joined(Duration),
    /// It got a message.
    Message(Message<'a>),
    /// Its connection has ended; by this close code, if by one.
    Gone(Option<u16>),
}

pub(super) struct Crowd {
    addr: SocketAddr,
    poll: Poll,
    events: Events,
    clients: Vec<Client>,
    scratch: Vec<u8>,
    timer: Option<OwnedFd>,
    deadline: Instant,
}

struct Client {
    topic: String,
    /// What it joins with.
    join: String,
    stream: Option<TcpStream>,
    phase: Phase,
    began: Instant,
    unread: Vec<u8>,
    unsent: Vec<u8>,
    stalled: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Closed,
    Connecting,
    Upgrading,
    Joining,
    Joined,
}

/// What a connection is ready for.
#[derive(Clone, Copy)]
struct Ready {
    writable: bool,
    /// The server may have closed its side.
    read_closed: bool,
}

/// What a connection came to.
enum Outcome {
    Open,
    Ended(Option<u16>),
}

impl Crowd {
    pub(super) fn new(addr: SocketAddr) -> Result<Self, Error> {
        if !addr.ip().is_loopback() || !addr.is_ipv4() {
            return Err(format!("{addr} is not on 127.0.0.0/8, and load is for this machine only").into());
        }
        Ok(Self {
            addr,
            poll: Poll::new()?,
            events: Events::with_capacity(EVENTS),
            clients: Vec::new(),
            scratch: vec![0; READ_BYTES],
            timer: None,
            deadline: Instant::now() + TIME_MAX,
        })
    }

    /// A client that will join this topic once it is [opened](Self::open).
    pub(super) fn add(&mut self, topic: String) -> usize {
        self.add_with(topic, "{}".to_owned())
    }

    /// The same, that joins with this payload.
    pub(super) fn add_with(&mut self, topic: String, join: String) -> usize {
        self.clients.push(Client {
            topic,
            join,
            stream: None,
            phase: Phase::Closed,
            began: Instant::now(),
            unread: Vec::new(),
            unsent: Vec::new(),
            stalled: false,
        });
        self.clients.len() - 1
    }

    pub(super) fn len(&self) -> usize {
        self.clients.len()
    }

    /// How many connections are open, from this client on.
    pub(super) fn open_len(&self, from: usize) -> usize {
        self.clients[from..].iter().filter(|client| client.phase != Phase::Closed).count()
    }

    /// Begins to connect; [`Event::Joined`] is when it has joined.
    pub(super) fn open(&mut self, at: usize) -> Result<(), Error> {
        let client = &mut self.clients[at];
        let source = Ipv4Addr::new(127, 0, 0, u8::try_from(at % SOURCES)? + 1);
        let mut stream = connect(self.addr, source.into(), client.stalled)?;
        self.poll.registry().register(&mut stream, Token(at), Interest::READABLE | Interest::WRITABLE)?;
        client.stream = Some(stream);
        client.phase = Phase::Connecting;
        client.began = Instant::now();
        Ok(())
    }

    /// Lets the connection go without a word.
    pub(super) fn cut(&mut self, at: usize) {
        self.clients[at].close();
    }

    /// The client reads no more, until it is told to.
    pub(super) fn stall(&mut self, at: usize) {
        self.clients[at].stalled = true;
    }

    /// The client reads again, and first what has waited.
    pub(super) fn read_on(
        &mut self,
        at: usize,
        on: &mut impl FnMut(usize, Event<'_>, &mut Vec<u8>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.clients[at].stalled = false;
        let ready = Ready { writable: false, read_closed: true };
        self.clients[at].ready(at, self.addr, ready, &mut self.scratch, on)
    }

    /// Sends what the closure appends.
    pub(super) fn send(&mut self, at: usize, push: impl FnOnce(&mut Vec<u8>)) -> Result<(), Error> {
        let client = &mut self.clients[at];
        push(&mut client.unsent);
        Ok(client.flush()?)
    }

    /// Ends a wait for messages this often, exactly (`epoll_wait` alone counts in milliseconds).
    pub(super) fn tick_every(&mut self, period: Duration) -> Result<(), Error> {
        let timer = rustix::time::timerfd_create(
            TimerfdClockId::Monotonic,
            TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC,
        )?;
        let period = Timespec { tv_sec: period.as_secs().try_into()?, tv_nsec: period.subsec_nanos().into() };
        let spec = Itimerspec { it_interval: period, it_value: period };
        rustix::time::timerfd_settime(&timer, TimerfdTimerFlags::empty(), &spec)?;
        self.poll.registry().register(&mut SourceFd(&timer.as_raw_fd()), TICK, Interest::READABLE)?;
        self.timer = Some(timer);
        Ok(())
    }

    /// Waits until something happens, or a tick, or `until`, and hands on what did.
    pub(super) fn turn(
        &mut self,
        until: Instant,
        on: &mut impl FnMut(usize, Event<'_>, &mut Vec<u8>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let now = Instant::now();
        if now >= self.deadline {
            return Err(format!("not over after {TIME_MAX:?}").into());
        }
        match self.poll.poll(&mut self.events, Some((until - now).min(TURN))) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            polled => polled?,
        }
        for event in &self.events {
            let Token(at) = event.token();
            if event.token() == TICK {
                self.timer.as_ref().map_or(Ok(()), rearm)?;
                continue;
            }
            let ready = Ready { writable: event.is_writable(), read_closed: event.is_read_closed() };
            self.clients[at].ready(at, self.addr, ready, &mut self.scratch, on)?;
        }
        Ok(())
    }

    /// Opens all clients, some at a time; with how long each took until it had joined.
    pub(super) fn join_all(&mut self) -> Result<Latencies, Error> {
        let mut latencies = Latencies::new();
        let (n, mut opened, mut joined) = (self.len(), 0, 0);
        while joined < n {
            while opened < n && opened - joined < CONCURRENCY {
                self.open(opened)?;
                opened += 1;
            }
            self.turn(Instant::now() + TURN, &mut |at, event, _| match event {
                Event::Joined(took) => {
                    latencies.add(took);
                    joined += 1;
                    Ok(())
                }
                Event::Message(_) => Ok(()),
                Event::Gone(code) => Err(gone(at, code)),
            })?;
        }
        Ok(latencies)
    }

    /// Reads for so long and wants to see nothing.
    pub(super) fn stay(&mut self, time: Duration) -> Result<(), Error> {
        let until = Instant::now() + time;
        while Instant::now() < until {
            self.turn(until, &mut |at, event, _| match event {
                Event::Joined(_) | Event::Message(_) => Ok(()),
                Event::Gone(code) => Err(gone(at, code)),
            })?;
        }
        Ok(())
    }
}

/// The error of a connection that should have stayed.
pub(super) fn gone(at: usize, code: Option<u16>) -> Error {
    match code {
        Some(code) => format!("the server closed connection {at} with {code}").into(),
        None => format!("the server closed connection {at}").into(),
    }
}

impl Client {
    /// Does what the connection is ready for.
    fn ready(
        &mut self,
        at: usize,
        addr: SocketAddr,
        ready: Ready,
        scratch: &mut [u8],
        on: &mut impl FnMut(usize, Event<'_>, &mut Vec<u8>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        if self.phase == Phase::Connecting && ready.writable {
            self.connected(addr)?;
        }
        let joined = self.phase == Phase::Joined;
        let outcome = if self.stalled && joined { Outcome::Open } else { self.read(at, ready, scratch, on)? };
        match outcome {
            Outcome::Open => match self.flush() {
                Err(error)
                    if matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset) =>
                {
                    self.end(at, joined, None, on)
                }
                flushed => Ok(flushed?),
            },
            Outcome::Ended(code) => self.end(at, joined, code, on),
        }
    }

    fn end(
        &mut self,
        at: usize,
        joined: bool,
        code: Option<u16>,
        on: &mut impl FnMut(usize, Event<'_>, &mut Vec<u8>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let phase = self.phase;
        self.close();
        if !joined && phase != Phase::Joined {
            return Err(format!("connection {at} ended while it was {phase:?}").into());
        }
        on(at, Event::Gone(code), &mut self.unsent)
    }

    fn close(&mut self) {
        self.stream = None;
        self.phase = Phase::Closed;
        self.unread.clear();
        self.unsent.clear();
    }

    fn connected(&mut self, addr: SocketAddr) -> Result<(), Error> {
        let Some(stream) = &self.stream else { return Ok(()) };
        if let Some(error) = stream.take_error()? {
            return Err(error.into());
        }
        self.phase = Phase::Upgrading;
        write!(
            self.unsent,
            "GET /socket/websocket?vsn=2.0.0 HTTP/1.1\r\nHost: {addr}\r\nConnection: Upgrade\r\n\
             Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        )?;
        Ok(())
    }

    fn read(
        &mut self,
        at: usize,
        ready: Ready,
        scratch: &mut [u8],
        on: &mut impl FnMut(usize, Event<'_>, &mut Vec<u8>) -> Result<(), Error>,
    ) -> Result<Outcome, Error> {
        loop {
            let Some(stream) = &mut self.stream else { return Ok(Outcome::Open) };
            let len = match stream.read(scratch) {
                Ok(0) => return Ok(Outcome::Ended(None)),
                Ok(len) => len,
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock | io::ErrorKind::NotConnected => return Ok(Outcome::Open),
                    io::ErrorKind::Interrupted => continue,
                    io::ErrorKind::ConnectionReset => return Ok(Outcome::Ended(None)),
                    _ => return Err(error.into()),
                },
            };
            if let Some(code) = self.take(at, &scratch[..len], on)? {
                return Ok(Outcome::Ended(Some(code)));
            }
            // A short read has emptied the socket: what comes later is a new edge. Unless the end is there already.
            if len < scratch.len() && !ready.read_closed {
                return Ok(Outcome::Open);
            }
        }
    }

    /// Takes bytes in; the code, if the server closes.
    fn take(
        &mut self,
        at: usize,
        bytes: &[u8],
        on: &mut impl FnMut(usize, Event<'_>, &mut Vec<u8>) -> Result<(), Error>,
    ) -> Result<Option<u16>, Error> {
        let mut joint = std::mem::take(&mut self.unread);
        let whole = if joint.is_empty() {
            bytes
        } else {
            joint.extend_from_slice(bytes);
            &joint
        };
        let mut used = 0;
        while let Some(len) = self.step(at, &whole[used..], on)? {
            if self.phase == Phase::Closed {
                return Ok(Some(close_code(&whole[used..used + len])));
            }
            used += len;
        }
        self.unread = whole[used..].to_vec();
        Ok(None)
    }

    /// Takes the answer to the upgrade, or a frame; with its length, or `None` if it is not all there.
    fn step(
        &mut self,
        at: usize,
        bytes: &[u8],
        on: &mut impl FnMut(usize, Event<'_>, &mut Vec<u8>) -> Result<(), Error>,
    ) -> Result<Option<usize>, Error> {
        match self.phase {
            Phase::Closed | Phase::Connecting => Ok(None),
            Phase::Upgrading => {
                const END: &[u8] = b"\r\n\r\n";
                let Some(end) = bytes.windows(END.len()).position(|four| four == END) else {
                    return Ok(None);
                };
                if !bytes.starts_with(b"HTTP/1.1 101 ") {
                    return Err(format!("no upgrade: {}", String::from_utf8_lossy(bytes)).into());
                }
                self.phase = Phase::Joining;
                push(&mut self.unsent, 1, 1, &self.topic, "phx_join", &self.join);
                Ok(Some(end + END.len()))
            }
            Phase::Joining | Phase::Joined => {
                let Some(frame) = wire::first_frame(bytes)? else { return Ok(None) };
                let payload = &bytes[frame.payload.clone()];
                match frame.opcode {
                    Opcode::Text => self.text(at, payload, on)?,
                    Opcode::Ping => wire::push_masked(&mut self.unsent, Opcode::Pong, payload),
                    Opcode::Pong => {}
                    Opcode::Close => self.phase = Phase::Closed,
                }
                Ok(Some(frame.payload.end))
            }
        }
    }

    fn text(
        &mut self,
        at: usize,
        text: &[u8],
        on: &mut impl FnMut(usize, Event<'_>, &mut Vec<u8>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let message = Message::parse(text)
            .ok_or_else(|| format!("connection {at} got {:?}", String::from_utf8_lossy(text)))?;
        if self.phase == Phase::Joined {
            return on(at, Event::Message(message), &mut self.unsent);
        }
        if !message.is_ok_reply() {
            return Err(format!("connection {at} may not join: {}", String::from_utf8_lossy(text)).into());
        }
        self.phase = Phase::Joined;
        on(at, Event::Joined(self.began.elapsed()), &mut self.unsent)
    }

    /// Writes what waits, as far as the socket takes it.
    fn flush(&mut self) -> io::Result<()> {
        let Some(stream) = &mut self.stream else { return Ok(()) };
        if matches!(self.phase, Phase::Closed | Phase::Connecting) {
            return Ok(());
        }
        let mut written = 0;
        while written < self.unsent.len() {
            match stream.write(&self.unsent[written..]) {
                Ok(len) => written += len,
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => break,
                    io::ErrorKind::Interrupted => {}
                    _ => return Err(error),
                },
            }
        }
        self.unsent.drain(..written);
        Ok(())
    }
}

/// Appends a message of the protocol V2.
pub(super) fn push(
    out: &mut Vec<u8>,
    join_ref: u64,
    reference: u64,
    topic: &str,
    event: &str,
    payload: &str,
) {
    let text = format!(r#"["{join_ref}","{reference}","{topic}","{event}",{payload}]"#);
    wire::push_masked(out, Opcode::Text, text.as_bytes());
}

/// A timer that nobody reads does not tick again.
fn rearm(timer: &OwnedFd) -> io::Result<()> {
    match rustix::io::read(timer, &mut [0_u8; 8]) {
        Err(rustix::io::Errno::AGAIN) => Ok(()),
        read => Ok(read.map(drop)?),
    }
}

/// The code of a close frame; 1005 ("no status") if it has none.
fn close_code(frame: &[u8]) -> u16 {
    match frame {
        [_, _, high, low, ..] => u16::from_be_bytes([*high, *low]),
        _ => 1_005,
    }
}

fn connect(addr: SocketAddr, source: IpAddr, stalled: bool) -> Result<TcpStream, Error> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.set_tcp_nodelay(true)?;
    if stalled {
        socket.set_recv_buffer_size(STALLED_RECEIVE_BYTES)?;
    }
    socket.bind(&SocketAddr::new(source, 0).into())?;
    match socket.connect(&addr.into()) {
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::INPROGRESS.raw_os_error()) => {}
        connected => connected?,
    }
    Ok(TcpStream::from_std(socket.into()))
}
