//! What is sent: noise, and what is almost right, which gets further.

use proptest::prelude::*;
use proptest::sample::Index;

fn noise() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..300)
}

/// With a few bytes replaced, or an end cut off.
fn almost(right: impl Strategy<Value = Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let replaced = prop::collection::vec((any::<Index>(), any::<u8>()), 0..4);
    (right, replaced, prop::option::weighted(0.2, any::<Index>())).prop_map(|(mut bytes, replaced, cut)| {
        for (at, byte) in replaced.into_iter().filter(|_| !bytes.is_empty()).collect::<Vec<_>>() {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len() + 1));
        }
        bytes
    })
}

/// A masked frame of a client.
fn frame(first: u8, mask: [u8; 4], payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    match u8::try_from(payload.len()) {
        Ok(len @ 0..126) => bytes.push(0x80 | len),
        _ => {
            bytes.push(0x80 | 126);
            bytes.extend(u16::try_from(payload.len()).expect("a short payload").to_be_bytes());
        }
    }
    bytes.extend(mask);
    bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    bytes
}

/// What a client says, as the payload of a frame and its first byte.
fn said() -> impl Strategy<Value = (u8, Vec<u8>)> {
    let events =
        "(phx_join|phx_leave|echo|shout|count|quiet|push_back|stop|stop_error|heartbeat|intercepted|big)";
    let text = format!(
        r#"\["[1-3]","[1-9]","(room:[ab]|room:private|phoenix|nowhere)","{events}",(\{{\}}|\{{"a":"é"\}}|\[\]|1)\]"#
    );
    let text = prop::string::string_regex(&text).expect("a pattern").prop_map(String::into_bytes);
    let binary = prop::collection::vec(any::<u8>(), 0..20)
        .prop_map(|data| [&b"\x00\x01\x01\x06\x0415room:aecho"[..], &data].concat());
    prop_oneof![
        6 => text.prop_map(|text| (0x81, text)),
        2 => binary.prop_map(|bytes| (0x82, bytes)),
        // Any other first byte: fragments, control frames, opcodes that there are not, bits that mean nothing.
        2 => (any::<u8>(), noise()),
        1 => (prop::sample::select(vec![0x88_u8, 0x89, 0x8a]), prop::collection::vec(any::<u8>(), 0..125)),
    ]
}

/// What follows the handshake on a WebSocket.
pub(super) fn websocket() -> impl Strategy<Value = Vec<u8>> {
    let frames = prop::collection::vec((said(), any::<[u8; 4]>()), 0..12).prop_map(|said| {
        // Most connections have joined a topic, or there would be little to break.
        let join = frame(0x81, [0; 4], br#"["1","0","room:a","phx_join",{}]"#);
        let rest = said.iter().flat_map(|((first, payload), mask)| frame(*first, *mask, payload));
        join.into_iter().chain(rest).collect::<Vec<u8>>()
    });
    let frames = frames.boxed();
    prop_oneof![1 => noise(), 3 => frames.clone(), 6 => almost(frames)]
}

/// What is sent instead of requests, or as requests; those for a socket are of this user.
pub(super) fn requests(user: &str) -> impl Strategy<Value = Vec<u8>> {
    let path = format!(
        r"(/socket/(websocket|longpoll)\?vsn=[12]\.0\.0&user_id={user}(&a\[[a-z]?\]=[a-z%0-9]{{0,5}}){{0,3}}|/socket/longpoll|/[a-z/.%]{{0,20}})"
    );
    let field = "(Host: localhost|Connection: (Upgrade|close|keep-alive)|Upgrade: websocket|Sec-WebSocket-Version: 13|\
                 Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==|Sec-WebSocket-Protocol: [a-z., ]{0,20}|Content-Length: [0-9]{1,3}|\
                 Transfer-Encoding: chunked|Content-Type: application/x-ndjson|Cookie: [a-z=;, ]{0,20}|\
                 x-phoenix-longpoll-token: [A-Za-z0-9._-]{0,60}|Origin: [a-z:/.]{0,20}|Expect: 100-continue)\r\n";
    let body = r#"([0-9a-f]{1,2}\r\n)?(\[null,"1","phoenix","heartbeat",\{\}\]\n){0,3}(AAECAw==)?"#;
    let request =
        format!("(GET|POST|OPTIONS|PUT|HEAD) {path} HTTP/1\\.[01]\r\n({field}){{0,6}}\r\n({body})?");
    let requests = prop::collection::vec(prop::string::string_regex(&request).expect("a pattern"), 1..4)
        .prop_map(|requests| requests.concat().into_bytes())
        .boxed();
    prop_oneof![1 => noise(), 3 => requests.clone(), 6 => almost(requests)]
}
