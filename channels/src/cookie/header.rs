//! The header `cookie`, as Plug reads it.
//!
//! Pure: headers in, a value out.

use http::HeaderMap;
use http::header::COOKIE;

/// The value of a cookie. Within a header the first of a name counts, and the last of the headers that have it.
pub(super) fn find<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let headers = headers.get_all(COOKIE).iter().rev();
    let mut last_first = headers.filter_map(|header| {
        let mut pairs = header.as_bytes().split(|byte| *byte == b';').filter_map(pair);
        pairs.find(|(key, _)| *key == name.as_bytes()).map(|(_, value)| value)
    });
    std::str::from_utf8(last_first.next()?).ok()
}

/// A name and a value; what has other white space than spaces around it is no pair.
fn pair(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let begin = bytes.iter().position(|byte| !matches!(byte, b' ' | b'\t'))?;
    let bytes = &bytes[begin..];
    let equals = bytes.iter().position(|byte| *byte == b'=')?;
    let (key, value) = (&bytes[..equals], &bytes[equals + 1..]);
    let end = value.iter().rposition(|byte| *byte != b' ').map_or(0, |last| last + 1);
    let is_space = |byte: &u8| matches!(byte, b'\t' | b'\r' | b'\n' | 0x0b | 0x0c);
    let good = !key.is_empty() && !key.iter().any(|byte| *byte == b' ' || is_space(byte));
    (good && !value.iter().any(is_space)).then_some((key, &value[..end]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(headers: &[&'static str], want: Option<&str>) {
        let mut map = HeaderMap::new();
        for header in headers {
            map.append(COOKIE, header.parse().unwrap());
        }
        assert_eq!(find(&map, "key"), want, "{headers:?}");
    }

    #[test]
    fn cookies_by_the_rules_of_plug() {
        check(&[], None);
        check(&["key=value"], Some("value"));
        check(&["a=b; key=value; c=d"], Some("value"));
        check(&["a=b;key=value"], Some("value"));
        check(&["key="], Some(""));
        check(&["key=a=b"], Some("a=b"));
        check(&["key= a b  ; c=d"], Some(" a b"));
        check(&["key =value"], None);
        check(&["key=va\tlue"], None);
        check(&["=value; key"], None);
        check(&["keys=value; Key=value"], None);
        check(&["key=first; key=second"], Some("first"));
        check(&["key=one", "key=two"], Some("two"));
        check(&["key=one", "a=b"], Some("one"));
    }
}
