//! Static files: what lies in a folder, and nothing that does not.
//!
//! tower-http does the HTTP (types, ranges, conditions) and refuses paths that climb; [`Confined`] makes sure that what a
//! path leads to, symbolic links followed, is a regular file inside the folder.

use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;

use tower_http::services::ServeDir;
use tower_http::services::fs::{Backend, DefaultServeDirFallback, TokioBackend, TokioFile};

/// A folder that is served.
pub(super) type Folder = ServeDir<DefaultServeDirFallback, Confined>;

/// Serves the files of a folder below a path, which is without a slash at its end.
pub(super) fn folder(prefix: &str, path: &Path) -> Folder {
    ServeDir::with_backend(path, Confined { root: path.into() }).redirect_path_prefix(prefix)
}

/// Whether no file can have this path below a folder. A redirect to `//name/` would lead to another host.
pub(super) fn is_no_file(path: &str) -> bool {
    path.contains("//")
}

/// The file system below one folder. The folder's own path may be a link, also one that is switched while we run.
#[derive(Clone, Debug)]
pub(super) struct Confined {
    root: Arc<Path>,
}

impl Confined {
    /// Where `path` really leads.
    ///
    /// Between this and the opening, who can write into the folder could swap what is there; who can do that can as well
    /// put a copy there.
    async fn resolve(self, path: PathBuf) -> io::Result<PathBuf> {
        let resolve = move || {
            let (root, real) = (std::fs::canonicalize(&self.root)?, std::fs::canonicalize(path)?);
            let kind = std::fs::metadata(&real)?;
            // Opening a named pipe would wait for a writer, for ever.
            let servable = real.starts_with(root) && (kind.is_file() || kind.is_dir());
            if servable { Ok(real) } else { Err(io::ErrorKind::NotFound.into()) }
        };
        tokio::task::spawn_blocking(resolve).await.map_err(io::Error::other)?
    }
}

impl Backend for Confined {
    type File = TokioFile;
    type Metadata = std::fs::Metadata;
    type OpenFuture = Pin<Box<dyn Future<Output = io::Result<TokioFile>> + Send>>;
    type MetadataFuture = Pin<Box<dyn Future<Output = io::Result<std::fs::Metadata>> + Send>>;

    fn open(&self, path: PathBuf) -> Self::OpenFuture {
        let confined = self.clone();
        Box::pin(async move { TokioBackend.open(confined.resolve(path).await?).await })
    }

    fn metadata(&self, path: PathBuf) -> Self::MetadataFuture {
        let confined = self.clone();
        Box::pin(async move { TokioBackend.metadata(confined.resolve(path).await?).await })
    }
}
