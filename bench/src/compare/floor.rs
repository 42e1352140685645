//! The floor: a server that speaks just enough of the protocol to be measured in place of `bench_server`, on one thread,
//! with nothing between a socket and its frames.
//!
//! No process, no serializer, no limit but one, no check of anything. What it costs nobody can get below.

use std::collections::HashMap;
use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr};

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use socket2::{Domain, Socket, Type};

use crate::Error;
use crate::wire::{self, Message, Opcode};

const LISTENER: Token = Token(usize::MAX);
const BACKLOG: i32 = 4_096;
const EVENTS: usize = 1_024;
const READ_BYTES: usize = 64 << 10;
/// What may wait for one client; one that reads slower is cut off.
const UNSENT_BYTES_MAX: usize = 1 << 20;
/// Broadcasts that one request may ask for.
const BURST_MAX: usize = 10_000;

struct Floor {
    poll: Poll,
    listener: TcpListener,
    clients: Vec<Option<Client>>,
    free: Vec<usize>,
    topics: HashMap<Vec<u8>, Vec<usize>>,
}

struct Client {
    stream: TcpStream,
    upgraded: bool,
    topic: Box<[u8]>,
    unread: Vec<u8>,
    unsent: Vec<u8>,
}

/// Serves until the process is ended.
pub(super) fn serve(port: u16) -> Result<String, Error> {
    let (mut floor, addr) = Floor::bind(port)?;
    writeln!(io::stdout(), "listening on {addr}")?;
    floor.run()
}

impl Floor {
    fn bind(port: u16) -> Result<(Self, SocketAddr), Error> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into())?;
        socket.listen(BACKLOG)?;
        let mut listener = TcpListener::from_std(socket.into());
        let poll = Poll::new()?;
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        let addr = listener.local_addr()?;
        let (clients, free, topics) = (Vec::new(), Vec::new(), HashMap::new());
        Ok((Self { poll, listener, clients, free, topics }, addr))
    }

    fn run(&mut self) -> Result<String, Error> {
        let mut events = Events::with_capacity(EVENTS);
        let mut scratch = vec![0; READ_BYTES];
        loop {
            match self.poll.poll(&mut events, None) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                polled => polled?,
            }
            for event in &events {
                match event.token() {
                    LISTENER => self.accept()?,
                    Token(at) => {
                        if self.read(at, event.is_read_closed(), &mut scratch).is_err()
                            || self.flush(at).is_err()
                        {
                            self.forget(at);
                        }
                    }
                }
            }
        }
    }

    fn accept(&mut self) -> Result<(), Error> {
        loop {
            let mut stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            };
            stream.set_nodelay(true)?;
            let at = self.free.pop().unwrap_or_else(|| {
                self.clients.push(None);
                self.clients.len() - 1
            });
            self.poll.registry().register(&mut stream, Token(at), Interest::READABLE | Interest::WRITABLE)?;
            let (topic, unread, unsent) = (Box::default(), Vec::new(), Vec::new());
            self.clients[at] = Some(Client { stream, upgraded: false, topic, unread, unsent });
        }
    }

    fn forget(&mut self, at: usize) {
        if let Some(client) = self.clients[at].take() {
            self.free.push(at);
            if let Some(members) = self.topics.get_mut(&*client.topic) {
                members.retain(|member| *member != at);
            }
        }
    }

    /// Reads what there is and does what it says.
    ///
    /// # Errors
    /// If the client has gone, or says what nobody understands.
    fn read(&mut self, at: usize, closed: bool, scratch: &mut [u8]) -> Result<(), Error> {
        loop {
            let Some(client) = &mut self.clients[at] else { return Ok(()) };
            let len = match client.stream.read(scratch) {
                Ok(0) => return Err("gone".into()),
                Ok(len) => len,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            };
            let mut joint = std::mem::take(&mut client.unread);
            let mut whole = &mut scratch[..len];
            if !joint.is_empty() {
                joint.extend_from_slice(whole);
                whole = &mut joint;
            }
            let mut used = 0;
            while let Some(len) = self.step(at, &mut whole[used..])? {
                used += len;
            }
            if let Some(client) = &mut self.clients[at] {
                client.unread = whole[used..].to_vec();
            }
            // A short read has emptied the socket, unless its end is there already.
            if len < scratch.len() && !closed {
                return Ok(());
            }
        }
    }

    fn step(&mut self, at: usize, bytes: &mut [u8]) -> Result<Option<usize>, Error> {
        let Some(client) = &mut self.clients[at] else { return Ok(None) };
        if !client.upgraded {
            const END: &[u8] = b"\r\n\r\n";
            let Some(end) = bytes.windows(END.len()).position(|four| four == END) else { return Ok(None) };
            self.request(at, &bytes[..end])?;
            return Ok(Some(end + END.len()));
        }
        let Some(frame) = wire::first_frame(bytes)? else { return Ok(None) };
        let end = frame.payload.end;
        let payload = &mut bytes[frame.payload];
        if let Some(mask) = frame.mask {
            payload.iter_mut().zip(mask.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
        }
        match frame.opcode {
            Opcode::Text => self.message(at, Message::parse(payload).ok_or("no message")?)?,
            Opcode::Ping => wire::push_plain(&mut client.unsent, Opcode::Pong, payload),
            Opcode::Pong => {}
            Opcode::Close => return Err("closed".into()),
        }
        Ok(Some(end))
    }

    fn request(&mut self, at: usize, head: &[u8]) -> Result<(), Error> {
        let head = std::str::from_utf8(head)?;
        if head.starts_with("GET /socket/websocket") {
            let Some(client) = &mut self.clients[at] else { return Ok(()) };
            client.upgraded = true;
            // The key is always the same, and so is what accepts it.
            client.unsent.extend_from_slice(
                b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                  Sec-WebSocket-Accept: ICX+Yqv66kxgM0FcWaLWlFLwTAI=\r\n\r\n",
            );
            return Ok(());
        }
        let query =
            head.split_once('?').and_then(|(_, rest)| rest.split_once(' ')).map_or("", |(query, _)| query);
        let value = |name: &str| {
            query
                .split('&')
                .filter_map(|pair| pair.split_once('='))
                .find(|(key, _)| *key == name)
                .map(|(_, text)| text)
        };
        let (Some(topic), Some(event), Some(n), Some(bytes)) =
            (value("topic"), value("event"), value("n"), value("bytes"))
        else {
            return Err("an unknown request".into());
        };
        let (n, bytes): (usize, usize) = (n.parse()?, bytes.parse()?);
        let text = format!(r#"[null,null,"{topic}","{event}",{{"p":"{:x<bytes$}"}}]"#, "");
        let mut frame = Vec::new();
        wire::push_plain(&mut frame, Opcode::Text, text.as_bytes());
        self.broadcast(format!("\"{topic}\"").as_bytes(), &frame.repeat(n.min(BURST_MAX)));
        let Some(client) = &mut self.clients[at] else { return Ok(()) };
        client
            .unsent
            .extend_from_slice(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\n0");
        self.flush(at)?;
        Err("answered".into())
    }

    fn message(&mut self, at: usize, message: Message<'_>) -> Result<(), Error> {
        let Message { join_ref, reference, topic, event, payload } = message;
        let response: &[u8] = match event {
            br#""echo""# => payload,
            br#""boom""# => {
                return self.push(at, &[join_ref, join_ref, topic, br#""phx_error""#, b"{}"]);
            }
            br#""shout""# => {
                let text = [b"[null,null,", topic, br#","shout","#, payload, b"]"].concat();
                let mut frame = Vec::with_capacity(text.len() + 4);
                wire::push_plain(&mut frame, Opcode::Text, &text);
                self.broadcast(topic, &frame);
                b"{}"
            }
            br#""phx_join""# => {
                let Some(client) = &mut self.clients[at] else { return Ok(()) };
                if client.topic.is_empty() {
                    client.topic = topic.into();
                    self.topics.entry(topic.to_vec()).or_default().push(at);
                }
                b"{}"
            }
            _ => return Err("an unknown event".into()),
        };
        let reply = [br#"{"status":"ok","response":"#, response, b"}"].concat();
        self.push(at, &[join_ref, reference, topic, br#""phx_reply""#, &reply])
    }

    fn push(&mut self, at: usize, parts: &[&[u8]; 5]) -> Result<(), Error> {
        let Some(client) = &mut self.clients[at] else { return Ok(()) };
        let text = [b"[", &*parts.join(&b","[..]), b"]"].concat();
        wire::push_plain(&mut client.unsent, Opcode::Text, &text);
        Ok(())
    }

    /// Writes to each of the topic, one after the other; what a socket does not take waits.
    fn broadcast(&mut self, topic: &[u8], frames: &[u8]) {
        let members = self.topics.get_mut(topic).map(std::mem::take).unwrap_or_default();
        let mut lost = Vec::new();
        for at in &members {
            let Some(client) = &mut self.clients[*at] else { continue };
            let written = if client.unsent.is_empty() { client.stream.write(frames).unwrap_or(0) } else { 0 };
            client.unsent.extend_from_slice(&frames[written..]);
            if client.unsent.len() > UNSENT_BYTES_MAX {
                lost.push(*at);
            }
        }
        if let Some(place) = self.topics.get_mut(topic) {
            *place = members;
        }
        lost.into_iter().for_each(|at| self.forget(at));
    }

    fn flush(&mut self, at: usize) -> io::Result<()> {
        let Some(client) = &mut self.clients[at] else { return Ok(()) };
        let mut written = 0;
        while written < client.unsent.len() {
            match client.stream.write(&client.unsent[written..]) {
                Ok(len) => written += len,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        if written == client.unsent.len() {
            // An idle connection keeps no buffer.
            client.unsent = Vec::new();
        } else {
            client.unsent.drain(..written);
        }
        Ok(())
    }
}

/// Serves on a thread of this process, which ends with it.
#[cfg(test)]
pub(super) fn start() -> SocketAddr {
    let (mut floor, addr) = Floor::bind(0).unwrap();
    std::thread::spawn(move || floor.run().unwrap());
    addr
}
