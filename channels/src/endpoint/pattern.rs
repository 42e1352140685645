//! Paths with params: `/socket/:tenant/websocket`.
//!
//! Pure: parsed once, then a comparison segment by segment.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// A path whose segments are texts, or params if they begin with a colon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PathPattern(Vec<Segment>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    Text(String),
    Param(String),
}

impl PathPattern {
    /// `None` if the path has no params: then it can be looked up as it is.
    pub(super) fn parse(path: &str) -> Option<Self> {
        let segments = segments(path).map(|segment| match segment.strip_prefix(':') {
            Some(name) => Segment::Param(name.to_owned()),
            None => Segment::Text(segment.to_owned()),
        });
        let segments: Vec<Segment> = segments.collect();
        segments.iter().any(|segment| matches!(segment, Segment::Param(_))).then_some(Self(segments))
    }

    /// The params of a path, decoded; `None` if it does not match. An empty segment is no param.
    pub(super) fn params(&self, path: &str) -> Option<Vec<(String, String)>> {
        let mut params = Vec::new();
        let mut given = segments(path);
        for segment in &self.0 {
            let value = percent_decode_str(given.next()?).decode_utf8().ok()?;
            match segment {
                Segment::Text(text) if *text == value => {}
                Segment::Param(name) if !value.is_empty() => {
                    params.push((name.clone(), Cow::into_owned(value)))
                }
                Segment::Text(_) | Segment::Param(_) => return None,
            }
        }
        given.next().is_none().then_some(params)
    }
}

fn segments(path: &str) -> impl Iterator<Item = &str> {
    path.strip_prefix('/').unwrap_or(path).split('/')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_against_a_pattern() {
        assert_eq!(PathPattern::parse("/socket/websocket"), None);
        let pattern = PathPattern::parse("/t/:tenant/socket/:user_id/websocket").unwrap();
        let table = [
            ("/t/acme/socket/7/websocket", Some(["acme", "7"])),
            ("/t/a%20b+c/socket/%C3%A9/websocket", Some(["a b+c", "é"])),
            ("/t/a%2Fb/socket/7/websocket", Some(["a/b", "7"])),
            ("/t/acme/socket/7/longpoll", None),
            ("/t/acme/socket//websocket", None),
            ("/t/acme/socket/7/websocket/", None),
            ("/t/acme/socket/7/8/websocket", None),
            ("/t/acme/socket/7", None),
            ("/t/acme/socket/%ff/websocket", None),
            ("", None),
        ];
        for (path, want) in table {
            let want = want.map(|[tenant, user]| {
                vec![("tenant".to_owned(), tenant.to_owned()), ("user_id".to_owned(), user.to_owned())]
            });
            assert_eq!(pattern.params(path), want, "{path}");
        }
    }
}
