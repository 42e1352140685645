//! The body of a publish: one text frame, or up to 100 lines of frames.
//!
//! Pure: a body in, lines out.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use bytestring::ByteString;
use http::HeaderValue;

use crate::close::CloseCode;
use crate::serializer::Frame;
use crate::socket::End;

/// How many lines of a batch are handled; the rest is ignored. Phoenix's number, which its clients know.
pub(super) const LINES_MAX: usize = 100;

/// What is to be done for one line.
#[derive(Debug)]
pub(super) enum Line {
    Frame(Frame),
    /// It is no frame that a client may send: the session ends.
    End(End),
}

/// A publish, as far as it could be read.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) lines: Vec<Line>,
    /// What follows the lines is neither a text frame nor base64.
    pub(super) broken: bool,
}

impl Batch {
    /// Reads a body, which is one frame or a batch; a frame may have `frame_bytes_max`.
    pub(super) fn read(is_batch: bool, body: &Bytes, frame_bytes_max: usize) -> Self {
        if !is_batch {
            return Self { lines: vec![text(body.clone(), frame_bytes_max)], broken: false };
        }
        let mut batch = Self::default();
        let lines = body.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
        for line in lines.filter(|line| !line.is_empty()).take(LINES_MAX) {
            let line = if line.starts_with(b"[") {
                // A copy: whoever keeps one message must not keep the whole body.
                text(Bytes::copy_from_slice(line), frame_bytes_max)
            } else if let Ok(bytes) = BASE64.decode(line) {
                checked(Frame::Binary(bytes.into()), frame_bytes_max)
            } else {
                batch.broken = true;
                break;
            };
            batch.lines.push(line);
        }
        batch
    }
}

/// Whether the body is a batch.
pub(super) fn is_ndjson(content_type: &HeaderValue) -> bool {
    let text = content_type.to_str().unwrap_or_default();
    let media_type = text.split(';').next().unwrap_or_default();
    media_type.trim().eq_ignore_ascii_case("application/x-ndjson")
}

fn text(bytes: Bytes, frame_bytes_max: usize) -> Line {
    match ByteString::try_from(bytes) {
        Ok(text) => checked(Frame::Text(text), frame_bytes_max),
        Err(_) => Line::End(End::new(CloseCode::InvalidUtf8, "text that is not UTF-8")),
    }
}

fn checked(frame: Frame, frame_bytes_max: usize) -> Line {
    let len = frame.len();
    if len > frame_bytes_max {
        let why = format!("a message of {len} bytes, {frame_bytes_max} are allowed");
        return Line::End(End::new(CloseCode::TooBig, why));
    }
    Line::Frame(frame)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::tests::{almost, fuzz, noise};

    fn read(content_type: &'static str, body: impl AsRef<[u8]>) -> (Vec<String>, bool) {
        let content_type = HeaderValue::from_static(content_type);
        let batch = Batch::read(is_ndjson(&content_type), &Bytes::copy_from_slice(body.as_ref()), 20);
        let show = |line: &Line| match line {
            Line::Frame(Frame::Text(text)) => text.to_string(),
            Line::Frame(Frame::Binary(bytes)) => format!("{:?}", &**bytes),
            Line::End(end) => format!("{:?}", end.code),
        };
        (batch.lines.iter().map(show).collect(), batch.broken)
    }

    #[test]
    fn batches() {
        let ndjson = "application/x-ndjson";
        let table: &[(&str, &[u8], &[&str], bool)] = &[
            ("application/json", b"[1]\n[2]", &["[1]\n[2]"], false),
            ("text/plain", b"{}", &["{}"], false),
            ("", b"", &[""], false),
            ("application/json", b"\"\xff\"", &["InvalidUtf8"], false),
            ("application/json", b"[12345678901234567890]", &["TooBig"], false),
            (ndjson, b"[1]\n[2]", &["[1]", "[2]"], false),
            (ndjson, b"[1]\r\n\n[2]\n", &["[1]", "[2]"], false),
            ("Application/X-NDJSON; charset=utf-8", b"[1]\n[2]", &["[1]", "[2]"], false),
            (ndjson, b"[1]\nAP8=\n[2]", &["[1]", "[0, 255]", "[2]"], false),
            (ndjson, b"[1]\nAP8\n[2]", &["[1]"], true),
            (ndjson, b"[1]\n{\"topic\":\"t\"}\n[2]", &["[1]"], true),
            (ndjson, b"[1]\n[\xff]\n[2]", &["[1]", "InvalidUtf8", "[2]"], false),
            (ndjson, b"[12345678901234567890]", &["TooBig"], false),
            (ndjson, b"AAAAAAAAAAAAAAAAAAAAAAAAAAAA", &["TooBig"], false),
            (ndjson, b"", &[], false),
        ];
        for (content_type, body, want, broken) in table {
            let want: Vec<String> = want.iter().map(|&line| line.to_owned()).collect();
            assert_eq!(read(content_type, body), (want, *broken), "{}", String::from_utf8_lossy(body));
        }
    }

    #[test]
    fn a_line_is_no_slice_of_the_body() {
        let body = Bytes::from_static(b"[1]\n[2]");
        let range = body.as_ptr_range();
        let batch = Batch::read(true, &body, 20);
        assert_eq!(batch.lines.len(), 2);
        for line in &batch.lines {
            let Line::Frame(Frame::Text(text)) = line else { panic!("{line:?}") };
            assert!(!range.contains(&text.as_ptr()));
        }
    }

    #[test]
    fn the_lines_after_the_hundredth_are_ignored() {
        let body: String = (1..=101).map(|n| format!("[{n}]\n")).collect();
        let (lines, broken) = read("application/x-ndjson", body);
        assert_eq!((lines.len(), lines[99].as_str(), broken), (100, "[100]", false));
    }

    proptest! {
        #![proptest_config(fuzz())]

        #[test]
        fn fuzz_any_body_is_so_many_lines_of_so_many_bytes(
            body in prop_oneof![noise(), almost("((\\[1,2\\]|AAECAw==|\\{\\}|\\*)?\r?\n){0,120}".prop_map(String::into_bytes))],
            ndjson in any::<bool>(),
        ) {
            let batch = Batch::read(ndjson, &body.into(), 20);
            prop_assert!(batch.lines.len() <= LINES_MAX);
            prop_assert!(ndjson || batch.lines.len() == 1 && !batch.broken);
            for line in &batch.lines {
                if let Line::Frame(frame) = line {
                    prop_assert!(frame.len() <= 20);
                }
            }
        }

        #[test]
        fn fuzz_what_a_client_batches_is_what_is_read(
            frames in prop::collection::vec(prop_oneof![
                "\\[[^\r\n]{0,20}".prop_map(|text| Frame::Text(text.into())),
                prop::collection::vec(any::<u8>(), 1..20).prop_map(|bytes| Frame::Binary(bytes.into())),
            ], 0..=LINES_MAX),
        ) {
            let line = |frame: &Frame| match frame {
                Frame::Text(text) => text.to_string(),
                Frame::Binary(bytes) => BASE64.encode(bytes),
            };
            let body = frames.iter().map(line).collect::<Vec<_>>().join("\n");
            let batch = Batch::read(true, &body.into(), 100);
            prop_assert!(!batch.broken);
            let read: Vec<Frame> = batch
                .lines
                .into_iter()
                .filter_map(|line| match line {
                    Line::Frame(frame) => Some(frame),
                    Line::End(_) => None,
                })
                .collect();
            prop_assert_eq!(read, frames);
        }
    }
}
