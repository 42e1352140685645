//! `POST /bench/broadcast`, on a connection of its own: asked now, the answer read later.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use super::Target;
use crate::Error;

/// How long an answer may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// What an answer may have; far more than it has.
const ANSWER_BYTES_MAX: u64 = 64 << 10;

/// A request whose answer has not been read.
#[derive(Debug)]
pub(super) struct Asked {
    stream: TcpStream,
}

impl Asked {
    /// Asks for so many broadcasts of `{"p": "xx…"}`.
    pub(super) fn broadcast(target: &Target, topic: &str, n: usize, bytes: usize) -> Result<Self, Error> {
        let mut stream = TcpStream::connect_timeout(&target.addr, TIMEOUT)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        let request = format!(
            "POST /bench/broadcast?topic={topic}&event=shout&n={n}&bytes={bytes} HTTP/1.1\r\nHost: {}\r\n\
             Connection: close\r\nContent-Length: 0\r\n\r\n",
            target.addr
        );
        stream.write_all(request.as_bytes())?;
        Ok(Self { stream })
    }

    /// Waits for the answer: the microseconds that the server took.
    pub(super) fn microseconds(self) -> Result<u64, Error> {
        let mut answer = String::new();
        self.stream.take(ANSWER_BYTES_MAX).read_to_string(&mut answer)?;
        let (head, body) = answer.split_once("\r\n\r\n").ok_or("no answer to the request")?;
        if !head.starts_with("HTTP/1.1 200 ") {
            return Err(format!("the server did not broadcast: {answer}").into());
        }
        Ok(body.trim().parse()?)
    }
}
