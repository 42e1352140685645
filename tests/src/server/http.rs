//! One GET over HTTP/1.1, as plain as a test needs it: no client library stands between it and the server.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::ServerError;

/// How long the whole request may take.
const REQUEST_WAIT: Duration = Duration::from_secs(10);

/// The largest answer that is read: 16 MiB, far above every page that tests ask for.
const ANSWER_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Gets `path` from `address` (`127.0.0.1:4000`, or a URL `http://127.0.0.1:4000`): the status and the body.
///
/// # Errors
/// [`ServerError::Http`] if there is no answer within 10 s, or one that is not HTTP.
pub async fn http_get(address: &str, path: &str) -> Result<(u16, String), ServerError> {
    let address = address.trim_start_matches("http://").trim_end_matches('/');
    let request = exchange(address, path);
    let answer = timeout(REQUEST_WAIT, request).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
    answer
        .and_then(|bytes| parse(&bytes))
        .map_err(|source| ServerError::Http { url: format!("http://{address}{path}"), source })
}

async fn exchange(address: &str, path: &str) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer).await?;
    Ok(answer)
}

fn parse(answer: &[u8]) -> io::Result<(u16, String)> {
    let invalid = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    let end = answer
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .ok_or_else(|| invalid("no end of the head"))?;
    let head = str::from_utf8(&answer[..end]).map_err(|_| invalid("the head is not text"))?;
    let mut lines = head.split("\r\n");
    let status = lines
        .next()
        .and_then(|line| line.strip_prefix("HTTP/1.1 "))
        .and_then(|rest| rest.get(..3))
        .and_then(|code| code.parse().ok())
        .ok_or_else(|| invalid("no HTTP/1.1 status line"))?;
    let chunked = lines.any(|line| line.eq_ignore_ascii_case("transfer-encoding: chunked"));
    let body = &answer[end + 4..];
    let body = if chunked {
        unchunk(body).ok_or_else(|| invalid("a chunk is malformed or missing"))?
    } else {
        body.to_vec()
    };
    String::from_utf8(body).map(|body| (status, body)).map_err(|_| invalid("the body is not text"))
}

fn unchunk(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = rest.windows(2).position(|two| two == b"\r\n")?;
        let size = str::from_utf8(&rest[..end]).ok()?.split(';').next()?;
        let size = usize::from_str_radix(size.trim(), 16).ok()?;
        rest = &rest[end + 2..];
        if size == 0 {
            return Some(body);
        }
        body.extend_from_slice(rest.get(..size)?);
        rest = rest.get(size..)?.strip_prefix(b"\r\n")?;
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    fn check(answer: &str, expect: Option<(u16, &str)>) {
        let parsed = parse(answer.as_bytes()).ok();
        assert_eq!(parsed.as_ref().map(|(status, body)| (*status, body.as_str())), expect, "{answer:?}");
    }

    #[test]
    fn reads_plain_and_chunked_answers_and_refuses_others() {
        check("HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno", Some((404, "no")));
        check("HTTP/1.1 204 No Content\r\n\r\n", Some((204, "")));
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        check(
            &format!("{chunked}3\r\nabc\r\nA;x=1\r\n0123456789\r\n0\r\n\r\n"),
            Some((200, "abc0123456789")),
        );
        check(&format!("{chunked}3\r\nabc\r\n"), None);
        check("HTTP/1.1 200 OK\r\n", None);
        check("SSH-2.0-OpenSSH\r\n\r\n", None);
    }
}
