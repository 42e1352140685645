//! Which requests give the length of their body twice: by `Content-Length` and by `Transfer-Encoding`.
//!
//! Pure: the bytes of a connection in, a verdict out. The HTTP layer drops the `Content-Length` of such a request before
//! anybody can see it and goes by the other (RFC 9112, section 6.3, allows that and allows refusing). A proxy in front of
//! us may have gone by the first, and then part of one client's body is another's request: so it is refused, and for
//! that the heads are followed here, just closely enough.

/// The longest line that can matter: `Content-Length`, and some room around its digits.
const LINE_MAX: usize = 64;

/// Follows the heads of the requests on one connection.
///
/// It parses less than the HTTP layer does, and may be ahead of it by requests that wait. That harms nothing: the
/// verdict is asked for at a request with `Transfer-Encoding`, after which the connection is closed, so there is at most
/// one such request on a connection, and it is the last that is followed.
#[derive(Debug)]
pub(crate) struct Heads {
    place: Place,
    /// The begin of the current line, and how long that line is.
    line: [u8; LINE_MAX],
    line_len: usize,
    /// The request line has been seen.
    begun: bool,
    length: Option<u64>,
    coded: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Head,
    /// In a body of which so many bytes are to come.
    Body(u64),
    /// Past what is followed: the last request was coded, or its length is no number.
    Beyond,
}

impl Heads {
    pub(crate) fn new() -> Self {
        Self {
            place: Place::Head,
            line: [0; LINE_MAX],
            line_len: 0,
            begun: false,
            length: None,
            coded: false,
        }
    }

    /// Takes the next bytes of the connection; whether a head in them ended that gives two lengths.
    pub(crate) fn feed(&mut self, mut bytes: &[u8]) -> bool {
        while !bytes.is_empty() {
            match self.place {
                Place::Beyond => return false,
                Place::Body(left) => {
                    let here = usize::try_from(left).map_or(bytes.len(), |left| left.min(bytes.len()));
                    bytes = &bytes[here..];
                    self.place = match left - here as u64 {
                        0 => Place::Head,
                        left => Place::Body(left),
                    };
                }
                Place::Head => {
                    let end = bytes.iter().position(|byte| *byte == b'\n');
                    self.take_line(&bytes[..end.unwrap_or(bytes.len())]);
                    let Some(end) = end else { return false };
                    bytes = &bytes[end + 1..];
                    if self.end_of_line() {
                        return true;
                    }
                }
            }
        }
        false
    }

    /// Takes more of the current line, as far as it can matter.
    fn take_line(&mut self, bytes: &[u8]) {
        let room = self.line.get_mut(self.line_len..).unwrap_or_default();
        let len = bytes.len().min(room.len());
        room[..len].copy_from_slice(&bytes[..len]);
        self.line_len = self.line_len.saturating_add(bytes.len());
    }

    fn end_of_line(&mut self) -> bool {
        let line = &self.line[..self.line_len.min(LINE_MAX)];
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        // Empty lines before a request are skipped by the HTTP layer too.
        let ends_head = line.is_empty() && self.begun;
        if self.begun
            && let Some(colon) = line.iter().position(|byte| *byte == b':')
        {
            let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
            if name.eq_ignore_ascii_case(b"transfer-encoding") {
                self.coded = true;
            } else if name.eq_ignore_ascii_case(b"content-length") {
                let digits = std::str::from_utf8(value).unwrap_or_default();
                // What is no number is refused by the HTTP layer; nothing after it is followed.
                self.length = Some(digits.parse().unwrap_or(u64::MAX));
            }
        }
        self.begun |= !line.is_empty();
        self.line_len = 0;
        ends_head && self.end_of_head()
    }

    fn end_of_head(&mut self) -> bool {
        let twice = self.coded && self.length.is_some();
        self.place = match (self.coded, self.length) {
            (true, _) => Place::Beyond,
            (false, None | Some(0)) => Place::Head,
            (false, Some(length)) => Place::Body(length),
        };
        (self.begun, self.length) = (false, None);
        twice
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::tests::{almost, fuzz, noise};

    /// Whether the bytes give a length twice, fed whole and byte by byte.
    fn check(bytes: &str, twice: bool) {
        assert_eq!(Heads::new().feed(bytes.as_bytes()), twice, "{bytes:?}");
        let mut heads = Heads::new();
        let found = bytes.as_bytes().chunks(1).filter(|byte| heads.feed(byte)).count();
        assert_eq!(found, usize::from(twice), "{bytes:?} byte by byte");
    }

    #[test]
    fn two_lengths_are_seen_in_either_order() {
        check("POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", true);
        check("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n", true);
        check("POST / HTTP/1.1\r\ntransfer-ENCODING:chunked\r\nHost: x\r\ncontent-length:5\r\n\r\n", true);
        check("POST / HTTP/1.1\nContent-Length: 5\nTransfer-Encoding: chunked\n\n", true);
        check("\r\nPOST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", true);
        check("POST / HTTP/1.1\r\nContent-Length: none\r\nTransfer-Encoding: chunked\r\n\r\n", true);
    }

    #[test]
    fn one_length_is_none_too_many() {
        check("GET / HTTP/1.1\r\nHost: x\r\n\r\n", false);
        check("POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello", false);
        check("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", false);
        check("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", false);
        let long = "x".repeat(200);
        check(&format!("GET /{long} HTTP/1.1\r\nX-{long}: {long}\r\n\r\n"), false);
    }

    #[test]
    fn a_body_is_no_head() {
        let body = "GET / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n";
        let first = format!("POST / HTTP/1.1\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        check(&first, false);
        check(&format!("{first}{body}"), true);
        check(&format!("POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n{body}"), true);
        check(&format!("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n{body}"), false);
    }

    /// Requests that are right, some with a body.
    fn requests() -> impl Strategy<Value = Vec<u8>> {
        let field =
            "(host|content-length|Transfer-Encoding|x-[a-z]{1,80}): ?(chunked|[0-9]{1,2}|[a-z]{0,80})\r\n";
        let request = format!("(GET|POST) /[a-z]{{0,70}} HTTP/1\\.1\r\n({field}){{0,4}}\r\n[a-z\n:]{{0,40}}");
        prop::collection::vec(prop::string::string_regex(&request).unwrap(), 0..4)
            .prop_map(|requests| requests.concat().into_bytes())
    }

    proptest! {
        #![proptest_config(fuzz())]

        #[test]
        fn fuzz_the_verdict_is_the_same_however_the_bytes_arrive(
            bytes in prop_oneof![noise(), requests(), almost(requests())],
            step in 1..200_usize,
        ) {
            let whole = Heads::new().feed(&bytes);
            let mut heads = Heads::new();
            let found = bytes.chunks(step).any(|chunk| heads.feed(chunk));
            prop_assert_eq!(found, whole, "in steps of {}", step);
        }

        /// Whoever hides the two lengths among other fields is found.
        #[test]
        fn fuzz_two_lengths_are_seen_among_any_fields(
            fields in prop::collection::vec("x-[a-z]{1,70}: [a-z:, ]{0,80}\r\n", 0..6),
            at in any::<[prop::sample::Index; 2]>(),
            length in 0..100_u32,
        ) {
            let mut fields = fields;
            for (at, field) in at.iter().zip(["transfer-encoding: chunked\r\n".to_owned(), format!("content-length: {length}\r\n")]) {
                fields.insert(at.index(fields.len() + 1), field);
            }
            let head = format!("POST / HTTP/1.1\r\n{}\r\n", fields.concat());
            prop_assert!(Heads::new().feed(head.as_bytes()), "{head}");
        }
    }
}
