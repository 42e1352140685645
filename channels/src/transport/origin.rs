//! Which pages may open a socket: the check of the Origin header.
//!
//! Pure: headers in, yes or no out. A browser sends the header with every WebSocket and lets no page change it; other
//! clients usually send none and are let in.

use std::fmt;

use http::HeaderMap;
use http::Uri;
use http::header::{HOST, ORIGIN};

/// Which origins may connect. Phoenix's `check_origin`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum CheckOrigin {
    /// Those whose host, and port, are the ones that the request was sent to.
    #[default]
    SameHost,
    /// Those that match one of the patterns.
    List(Vec<OriginPattern>),
    /// All: any page that a user visits can connect in their name.
    Off,
}

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

impl CheckOrigin {
    /// Whether a request with these headers may connect.
    pub(super) fn allows(&self, headers: &HeaderMap) -> bool {
        let Some(origin) = headers.get(ORIGIN) else { return true };
        if *self == Self::Off {
            return true;
        }
        let Some(origin) = origin.to_str().ok().and_then(Origin::parse) else { return false };
        match self {
            Self::Off => true,
            Self::List(patterns) => patterns.iter().any(|pattern| pattern.matches(&origin)),
            Self::SameHost => {
                let host = headers.get(HOST).and_then(|host| host.to_str().ok()).and_then(Authority::parse);
                // Whether the server is reached over TLS it may not know: a proxy in front of it does.
                host.is_some_and(|host| {
                    host.host == origin.authority.host
                        && (host.port == origin.authority.port
                            || host.port.is_none() && origin.port() == default_port(&origin.scheme)
                            || host.port == origin.port())
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(host: &str, origin: Option<&str>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, host.parse().unwrap());
        if let Some(origin) = origin {
            headers.insert(ORIGIN, origin.parse().unwrap());
        }
        headers
    }

    #[test]
    fn same_host() {
        let table = [
            ("example.com", None, true),
            ("example.com", Some("https://example.com"), true),
            ("example.com", Some("http://EXAMPLE.com"), true),
            ("example.com:443", Some("https://example.com"), true),
            ("localhost:4000", Some("http://localhost:4000"), true),
            ("localhost:4000", Some("http://localhost:5000"), false),
            ("localhost:4000", Some("http://localhost"), false),
            ("example.com", Some("https://example.com:8443"), false),
            ("example.com", Some("https://evil.com"), false),
            ("example.com", Some("https://example.com.evil.com"), false),
            ("example.com", Some("https://example.com@evil.com"), false),
            ("example.com", Some("null"), false),
            ("example.com", Some("nonsense"), false),
        ];
        for (host, origin, want) in table {
            assert_eq!(CheckOrigin::SameHost.allows(&headers(host, origin)), want, "{host} {origin:?}");
        }
    }

    #[test]
    fn a_list() {
        let patterns = ["//localhost", "//*.allowed.test", "https://exact.test:8443", "https://plain.test"];
        let list = patterns.iter().map(|pattern| OriginPattern::parse(pattern).unwrap()).collect();
        let check = CheckOrigin::List(list);
        let table = [
            ("http://localhost:1234", true),
            ("https://localhost", true),
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
            assert_eq!(check.allows(&headers("server.test", Some(origin))), want, "{origin}");
        }
        assert!(check.allows(&headers("server.test", None)));
    }

    #[test]
    fn wrong_patterns() {
        for pattern in ["", "example.com", "//", "://x", "//*.", "//a b"] {
            assert!(OriginPattern::parse(pattern).is_err(), "{pattern}");
        }
    }
}
