//! Which pages may open a socket: the check of the Origin header.
//!
//! Pure: headers in, yes or no out. A browser sends the header with every WebSocket and lets no page change it; other
//! clients usually send none and are let in.

use std::fmt;
use std::sync::Arc;

use http::header::{HOST, ORIGIN};
use http::{HeaderMap, Request, Uri};

/// Which origins may connect. Phoenix's `check_origin`.
///
/// A request without the header is always let in. An origin without a host (`null`, as sandboxed frames and local
/// files send it) is let in by [`Off`](Self::Off) alone, and by a check of your own that says so.
#[derive(Clone, Default)]
pub enum CheckOrigin {
    /// Those whose host is the one that the request was sent to, whatever the scheme and the port.
    ///
    /// A page whose own name is made to lead to this server (DNS rebinding) passes; where that matters, name the host.
    #[default]
    SameHost,
    /// Those of this host, whatever the scheme and the port. Phoenix's `true`, which means the host of its `url`.
    Host(String),
    /// Those whose scheme, host and port are the request's. Phoenix's `:conn`.
    ///
    /// The scheme is the one of the request's URI where that has one, else `http`: behind a proxy that ends TLS, list
    /// the origins instead.
    Conn,
    /// Those that match one of the patterns.
    List(Vec<OriginPattern>),
    /// Those that this function accepts, see [`custom`](Self::custom). Phoenix's `{module, function, args}`.
    Custom(OriginCheck),
    /// All: any page that a user visits can connect in their name. Phoenix's `false`.
    Off,
}

/// A check of the application's own.
#[derive(Clone)]
pub struct OriginCheck(Arc<OriginFn>);

type OriginFn = dyn Fn(&str, &HeaderMap) -> bool + Send + Sync;

/// Which origins are meant: `https://example.com:8443`, `//example.com` (any scheme and port) or `//*.example.com`
/// (the host itself too, and subdomains at any depth).
///
/// ```
/// use heronry_channels::{CheckOrigin, OriginPattern};
///
/// let ours = OriginPattern::parse("//*.example.com").unwrap();
/// let check = CheckOrigin::List(vec![ours]);
/// # drop(check);
/// assert!(OriginPattern::parse("example.com").is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginPattern {
    scheme: Option<String>,
    host: String,
    port: Option<u16>,
    subdomains: bool,
}

/// A text that is no origin pattern: write `scheme://host`, `scheme://host:port`, `//host` or `//*.host`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginError(String);

impl fmt::Display for OriginError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} is no origin pattern: write scheme://host, scheme://host:port, //host or //*.host",
            self.0
        )
    }
}

impl std::error::Error for OriginError {}

impl OriginPattern {
    /// Takes a pattern.
    ///
    /// # Errors
    /// [`OriginError`] if it has no host or no `//`.
    pub fn parse(text: &str) -> Result<Self, OriginError> {
        let wrong = || OriginError(text.to_owned());
        let (scheme, rest) = text.split_once("//").ok_or_else(wrong)?;
        let scheme = match scheme.strip_suffix(':') {
            Some(scheme) if !scheme.is_empty() => Some(scheme.to_ascii_lowercase()),
            None if scheme.is_empty() => None,
            _ => return Err(wrong()),
        };
        let (subdomains, rest) = rest.strip_prefix("*.").map_or((false, rest), |rest| (true, rest));
        let authority: Authority = Authority::parse(rest).ok_or_else(wrong)?;
        Ok(Self { scheme, host: authority.host, port: authority.port, subdomains })
    }

    fn matches(&self, origin: &Origin) -> bool {
        let host = &origin.authority.host;
        let same_host = *host == self.host
            || self.subdomains && host.strip_suffix(&self.host).is_some_and(|before| before.ends_with('.'));
        let same_scheme = self.scheme.as_ref().is_none_or(|scheme| *scheme == origin.scheme);
        let port = self.port.or_else(|| self.scheme.as_deref().and_then(default_port));
        same_host && same_scheme && port.is_none_or(|port| origin.port() == Some(port))
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Authority {
    host: String,
    port: Option<u16>,
}

impl Authority {
    fn parse(text: &str) -> Option<Self> {
        let authority: http::uri::Authority = text.parse().ok()?;
        let plain = !authority.as_str().contains('@') && !authority.host().is_empty();
        let host = authority.host().to_ascii_lowercase();
        plain.then_some(Self { host, port: authority.port_u16() })
    }
}

#[derive(Debug)]
struct Origin {
    scheme: String,
    authority: Authority,
}

impl Origin {
    fn parse(text: &str) -> Option<Self> {
        let uri: Uri = text.parse().ok()?;
        let scheme = uri.scheme_str()?.to_ascii_lowercase();
        Some(Self { scheme, authority: Authority::parse(uri.authority()?.as_str())? })
    }

    fn port(&self) -> Option<u16> {
        self.authority.port.or_else(|| default_port(&self.scheme))
    }
}

fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" | "ws" => Some(80),
        "https" | "wss" => Some(443),
        _ => None,
    }
}

/// Where a request was sent to.
fn target<B>(request: &Request<B>) -> Option<Authority> {
    let in_uri = request.uri().authority().map(http::uri::Authority::as_str);
    let host = request.headers().get(HOST).and_then(|host| host.to_str().ok());
    Authority::parse(in_uri.or(host)?)
}

impl CheckOrigin {
    /// Accepts the origins for which the function says so: it gets the Origin header, and all headers.
    ///
    /// ```
    /// use heronry_channels::CheckOrigin;
    ///
    /// let ours = CheckOrigin::custom(|origin, _| origin.starts_with("app://"));
    /// # drop(ours);
    /// ```
    pub fn custom(check: impl Fn(&str, &HeaderMap) -> bool + Send + Sync + 'static) -> Self {
        Self::Custom(OriginCheck(Arc::new(check)))
    }

    /// Those that match one of these patterns.
    ///
    /// # Errors
    /// [`OriginError`] names the first that is no pattern.
    ///
    /// ```
    /// use heronry_channels::CheckOrigin;
    ///
    /// let ours = CheckOrigin::list(["https://example.com", "//*.example.org"]).unwrap();
    /// # drop(ours);
    /// ```
    pub fn list<'a>(patterns: impl IntoIterator<Item = &'a str>) -> Result<Self, OriginError> {
        patterns.into_iter().map(OriginPattern::parse).collect::<Result<_, _>>().map(Self::List)
    }

    /// Whether this request may connect.
    pub(super) fn allows<B>(&self, request: &Request<B>) -> bool {
        let Some(header) = request.headers().get(ORIGIN) else { return true };
        let text = header.to_str().ok();
        let origin = || text.and_then(Origin::parse);
        match self {
            Self::Off => true,
            Self::Custom(OriginCheck(check)) => text.is_some_and(|text| check(text, request.headers())),
            Self::Host(host) => {
                origin().is_some_and(|origin| origin.authority.host.eq_ignore_ascii_case(host))
            }
            Self::List(patterns) => {
                origin().is_some_and(|origin| patterns.iter().any(|pattern| pattern.matches(&origin)))
            }
            Self::SameHost => {
                let (origin, target) = (origin(), target(request));
                origin.zip(target).is_some_and(|(origin, target)| origin.authority.host == target.host)
            }
            Self::Conn => {
                let scheme = request.uri().scheme_str().unwrap_or("http");
                let target = target(request)
                    .map(|authority| Origin { scheme: scheme.to_ascii_lowercase(), authority });
                origin().zip(target).is_some_and(|(origin, target)| {
                    origin.scheme == target.scheme
                        && origin.authority.host == target.authority.host
                        && origin.port() == target.port()
                })
            }
        }
    }
}

impl fmt::Debug for CheckOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SameHost => f.write_str("SameHost"),
            Self::Host(host) => f.debug_tuple("Host").field(host).finish(),
            Self::Conn => f.write_str("Conn"),
            Self::List(patterns) => f.debug_tuple("List").field(patterns).finish(),
            Self::Custom(check) => check.fmt(f),
            Self::Off => f.write_str("Off"),
        }
    }
}

impl fmt::Debug for OriginCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OriginCheck")
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;
    use crate::tests::{almost, fuzz, noise};

    fn request(host: &str, origin: Option<&str>) -> Request<()> {
        let request = Request::builder().uri("/socket/websocket").header(HOST, host);
        match origin {
            Some(origin) => request.header(ORIGIN, origin).body(()).unwrap(),
            None => request.body(()).unwrap(),
        }
    }

    /// (host, origin, is it allowed as the same host, and as the same scheme, host and port)
    #[test]
    fn same_host_and_conn() {
        let table = [
            ("example.com", None, true, true),
            ("example.com", Some("http://example.com"), true, true),
            ("example.com", Some("http://EXAMPLE.com"), true, true),
            ("Example.com:80", Some("http://example.com"), true, true),
            ("example.com", Some("https://example.com"), true, false),
            ("localhost:4000", Some("http://localhost:4000"), true, true),
            ("localhost:4000", Some("http://localhost:5000"), true, false),
            ("localhost:4000", Some("http://localhost"), true, false),
            ("[::1]:4000", Some("http://[::1]:4000"), true, true),
            ("example.com", Some("https://evil.com"), false, false),
            ("example.com", Some("http://sub.example.com"), false, false),
            ("example.com", Some("https://example.com.evil.com"), false, false),
            ("example.com", Some("https://example.com@evil.com"), false, false),
            ("example.com", Some("null"), false, false),
            ("example.com", Some("nonsense"), false, false),
            ("", Some("http://example.com"), false, false),
        ];
        for (host, origin, same_host, conn) in table {
            let request = request(host, origin);
            assert_eq!(CheckOrigin::SameHost.allows(&request), same_host, "{host} {origin:?}");
            assert_eq!(CheckOrigin::Conn.allows(&request), conn, "{host} {origin:?}");
        }
        let mut secure = request("elsewhere.com", Some("https://example.com"));
        *secure.uri_mut() = "https://example.com/socket".parse().unwrap();
        assert!(CheckOrigin::Conn.allows(&secure));
    }

    #[test]
    fn a_named_host() {
        let check = CheckOrigin::Host("example.com".to_owned());
        for (origin, want) in [
            ("https://example.com:8443", true),
            ("http://Example.COM", true),
            ("http://other.com", false),
            ("null", false),
        ] {
            assert_eq!(check.allows(&request("other.com", Some(origin))), want, "{origin}");
        }
        assert!(check.allows(&request("other.com", None)));
    }

    #[test]
    fn a_list() {
        let patterns = ["//localhost", "//*.allowed.test", "https://exact.test:8443", "https://plain.test"];
        let check = CheckOrigin::list(patterns).unwrap();
        let table = [
            ("http://localhost:1234", true),
            ("https://localhost", true),
            ("capacitor://localhost", true),
            ("https://allowed.test", true),
            ("http://a.b.allowed.test:81", true),
            ("https://notallowed.test", false),
            ("https://exact.test:8443", true),
            ("https://exact.test", false),
            ("http://exact.test:8443", false),
            ("https://plain.test", true),
            ("https://plain.test:444", false),
            ("null", false),
        ];
        for (origin, want) in table {
            assert_eq!(check.allows(&request("server.test", Some(origin))), want, "{origin}");
        }
        assert!(check.allows(&request("server.test", None)));
    }

    #[test]
    fn a_check_of_ones_own_and_none() {
        let check = CheckOrigin::custom(|origin, headers| origin == "null" && headers.contains_key(HOST));
        assert!(check.allows(&request("a.test", Some("null"))));
        assert!(!check.allows(&request("a.test", Some("http://a.test"))));
        assert!(check.allows(&request("a.test", None)));
        assert!(CheckOrigin::Off.allows(&request("a.test", Some("http://evil.test"))));
    }

    #[test]
    fn wrong_patterns() {
        for pattern in ["", "example.com", "//", "://x", "//*.", "//a b"] {
            assert!(OriginPattern::parse(pattern).is_err(), "{pattern}");
            assert!(CheckOrigin::list(["//localhost", pattern]).is_err(), "{pattern}");
        }
    }

    proptest! {
        #![proptest_config(fuzz())]

        #[test]
        fn fuzz_any_origin_is_allowed_or_not(
            origin in prop_oneof![noise(), almost("https?://([a-z.]{1,8}@)?[a-z.\\[\\]:0-9]{0,20}(:[0-9]{0,6})?/?".prop_map(String::into_bytes))],
            host in prop_oneof![noise(), almost("[a-z.]{1,8}(:[0-9]{1,5})?".prop_map(String::into_bytes))],
        ) {
            let (Ok(origin), Ok(host)) = (HeaderValue::from_bytes(&origin), HeaderValue::from_bytes(&host)) else {
                return Ok(());
            };
            let request = Request::builder().header(HOST, &host).header(ORIGIN, &origin).body(()).unwrap();
            drop(origin.to_str().map(OriginPattern::parse));
            let ours = CheckOrigin::list(["https://ours.test"]).unwrap();
            for check in [CheckOrigin::SameHost, CheckOrigin::Conn, ours.clone()] {
                check.allows(&request);
            }
            // Nothing but the one page passes, in any case of letters and with or without its port.
            if ours.allows(&request) {
                let text = origin.to_str().unwrap().to_ascii_lowercase();
                let text = text.trim_end_matches('/').trim_end_matches(":443");
                prop_assert_eq!(text, "https://ours.test");
            }
        }
    }
}
