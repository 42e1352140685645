//! What a link over a network must have.
//!
//! Pure: values.

use std::fmt;
use std::net::IpAddr;

/// What a link to a broker on another machine must have, unless `insecure` is written out: whoever reads or writes a cluster's
/// subjects owns the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Safeguard {
    /// Encryption.
    Tls,
    /// A token, password or key.
    Credentials,
}

impl fmt::Display for Safeguard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tls => "TLS",
            Self::Credentials => "credentials",
        })
    }
}

/// The safeguard that a link to that host lacks.
pub(in super::super) fn missing(host: &str, tls: bool, credentials: bool) -> Option<Safeguard> {
    let loopback =
        host == "localhost" || host.parse().is_ok_and(|ip: IpAddr| ip.to_canonical().is_loopback());
    match (loopback, tls, credentials) {
        (true, _, _) | (false, true, true) => None,
        (false, false, _) => Some(Safeguard::Tls),
        (false, true, false) => Some(Safeguard::Credentials),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_reached_without() {
        for host in ["localhost", "127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"] {
            assert_eq!(missing(host, false, false), None, "{host}");
        }
        for host in
            ["nats", "10.0.0.1", "0.0.0.0", "::", "localhost.example", "127.0.0.1.example", "127.1", ""]
        {
            assert_eq!(missing(host, false, true), Some(Safeguard::Tls), "{host}");
            assert_eq!(missing(host, true, false), Some(Safeguard::Credentials), "{host}");
            assert_eq!(missing(host, true, true), None, "{host}");
        }
    }
}
