//! TLS in the endpoint's own server, by rustls.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::server::TlsStream;

use crate::body::BoxError;

/// A server's certificate and key: TLS 1.2 and 1.3, HTTP/1.1 within.
///
/// ```no_run
/// use heronry_channels::{Endpoint, Tls};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let tls = Tls::from_pem(&std::fs::read("cert.pem")?, &std::fs::read("key.pem")?)?;
/// let endpoint = Endpoint::builder().tls(tls).build()?;
/// # drop(endpoint);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Tls {
    acceptor: TlsAcceptor,
}

/// A certificate and key that TLS can't be made of.
#[derive(Debug)]
#[non_exhaustive]
pub enum TlsError {
    /// There is no certificate in the PEM text, or one that can't be read: give the server's certificate first, then the
    /// ones that lead from it to a root.
    Certificate(BoxError),
    /// There is no private key in the PEM text, or one that can't be read: PKCS#8, PKCS#1 and SEC1 can.
    Key(BoxError),
    /// The two do not belong together, or are of a kind that is not used.
    Pair(BoxError),
}

impl Tls {
    /// Of a chain of certificates and a private key, both PEM.
    ///
    /// # Errors
    /// [`TlsError`] says which of them is wrong.
    pub fn from_pem(certificates: &[u8], key: &[u8]) -> Result<Self, TlsError> {
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(certificates).collect();
        let chain = chain.map_err(|error| TlsError::Certificate(error.into()))?;
        if chain.is_empty() {
            return Err(TlsError::Certificate("no certificate in it".into()));
        }
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| TlsError::Key(error.into()))?;
        let pair = |error| TlsError::Pair(Box::new(error));
        // The provider is named: a process may have none, or another, as its default.
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(pair)?
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(pair)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { acceptor: TlsAcceptor::from(Arc::new(config)) })
    }

    /// Shakes hands with a client; an error is its own doing.
    pub(super) async fn accept(
        &self,
        stream: TcpStream,
        timeout: Duration,
    ) -> Result<TlsStream<TcpStream>, String> {
        match tokio::time::timeout(timeout, self.acceptor.accept(stream)).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) => Err(format!("tls: {error}")),
            Err(_) => Err(format!("tls: no handshake within {timeout:?}")),
        }
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Certificate(error) => write!(f, "the certificates can't be read: {error}"),
            Self::Key(error) => write!(f, "the private key can't be read: {error}"),
            Self::Pair(error) => write!(f, "the certificate and the key can't be used: {error}"),
        }
    }
}

impl Error for TlsError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Certificate(error) | Self::Key(error) | Self::Pair(error) => Some(&**error),
        }
    }
}
