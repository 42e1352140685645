//! Path to answer: routes, socket mounts, files.

use std::collections::HashMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use heronry::telemetry::{self, Event, Level};
use http::header::{CACHE_CONTROL, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use http::{Method, Request, Response, StatusCode, Uri};
use tower_http::services::ServeFile;
use tower_service::Service;

use super::HttpLimits;
use super::assets::{self, Folder};
use super::pattern::PathPattern;
use crate::body::{self, Body, BoxError};
use crate::params::PathParams;
use crate::transport::Transport;

type Answer = Pin<Box<dyn Future<Output = Response<Body>> + Send>>;
type Handler = Arc<dyn Fn(Request<Bytes>) -> Answer + Send + Sync>;

/// Everything that an endpoint serves, by path.
#[derive(Default)]
pub(super) struct Router {
    routes: HashMap<String, Vec<(Method, Handler)>>,
    mounts: HashMap<String, Arc<dyn Transport>>,
    /// Mounts with params in their path, in the order in which they were made.
    patterns: Vec<(PathPattern, Arc<dyn Transport>)>,
    files: HashMap<String, ServeFile>,
    folders: Vec<(String, Folder)>,
    body_bytes_max: usize,
    body_timeout: Duration,
    route_timeout: Duration,
}

impl Router {
    pub(super) fn new() -> Self {
        Self::default()
    }

    pub(super) fn limits(mut self, limits: &HttpLimits) -> Self {
        self.body_bytes_max = limits.body_bytes_max;
        self.body_timeout = limits.body_timeout;
        self.route_timeout = limits.route_timeout;
        self
    }

    pub(super) fn route<F, R>(mut self, method: Method, path: &str, handler: F) -> Self
    where
        F: Fn(Request<Bytes>) -> R + Send + Sync + 'static,
        R: Future<Output = Response<Body>> + Send + 'static,
    {
        let handler: Handler = Arc::new(move |request| Box::pin(handler(request)));
        self.routes.entry(path.to_owned()).or_default().push((method, handler));
        self
    }

    pub(super) fn mount(mut self, path: String, transport: Arc<dyn Transport>) -> Self {
        match PathPattern::parse(&path) {
            Some(pattern) => self.patterns.push((pattern, transport)),
            None => drop(self.mounts.insert(path, transport)),
        }
        self
    }

    pub(super) fn file(mut self, path: &str, file: &Path) -> Self {
        self.files.insert(path.to_owned(), ServeFile::new(file));
        self
    }

    pub(super) fn folder(mut self, prefix: &str, folder: &Path) -> Self {
        let prefix = prefix.trim_end_matches('/').to_owned();
        let folder = assets::folder(&prefix, folder);
        self.folders.push((prefix, folder));
        self
    }

    pub(super) async fn serve<B>(&self, request: Request<B>) -> Response<Body>
    where
        B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        let path = request.uri().path();
        let mut response = if let Some(methods) = self.routes.get(path) {
            self.serve_route(methods, request).await
        } else if let Some((transport, params)) = self.mount_at(path) {
            let path = path.to_owned();
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(params);
            caught(|| transport.serve(request), path).await
        } else if let Some(file) = self.files.get(path) {
            from_files(file.clone(), request).await
        } else if let Some((prefix, folder)) = self.folders.iter().find(|(prefix, _)| is_below(path, prefix))
        {
            match without_prefix(request, prefix) {
                Some(request) => from_files(folder.clone(), request).await,
                None => plain(StatusCode::NOT_FOUND, "not found"),
            }
        } else {
            plain(StatusCode::NOT_FOUND, "not found")
        };
        response.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        response
    }

    /// The mount of a path, and the params in it.
    fn mount_at(&self, path: &str) -> Option<(&Arc<dyn Transport>, PathParams)> {
        if let Some(transport) = self.mounts.get(path) {
            return Some((transport, PathParams(Vec::new())));
        }
        self.patterns
            .iter()
            .find_map(|(pattern, transport)| Some((transport, PathParams(pattern.params(path)?))))
    }

    async fn serve_route<B>(&self, methods: &[(Method, Handler)], request: Request<B>) -> Response<Body>
    where
        B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        let wanted = request.method();
        let find = |method: &Method| methods.iter().find(|(other, _)| other == method);
        let found = match find(wanted) {
            None if *wanted == Method::HEAD => find(&Method::GET),
            found => found,
        };
        // As Phoenix's router, which knows routes of a method and a path, and none of another method.
        let Some((_, handler)) = found else { return plain(StatusCode::NOT_FOUND, "not found") };
        let (parts, body) = request.into_parts();
        let body = match body::read(body, self.body_bytes_max, self.body_timeout).await {
            Ok(body) => body,
            Err(error) => return plain(error.status(), error.to_string()),
        };
        let path = parts.uri.path().to_owned();
        let answer = caught(|| handler(Request::from_parts(parts, body)), path.clone());
        match tokio::time::timeout(self.route_timeout, answer).await {
            Ok(response) => response,
            Err(_) => {
                telemetry::emit(&RouteTimedOut { path, timeout: self.route_timeout });
                plain(StatusCode::SERVICE_UNAVAILABLE, "the answer takes too long; try again later")
            }
        }
    }
}

fn is_below(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| rest.starts_with('/'))
}

fn without_prefix<B>(mut request: Request<B>, prefix: &str) -> Option<Request<B>> {
    let rest = request.uri().path().strip_prefix(prefix)?;
    if assets::is_no_file(rest) {
        return None;
    }
    let rest: Uri = rest.parse().ok()?;
    *request.uri_mut() = rest;
    Some(request)
}

/// Files are looked at again at each load: who deploys a new one wants it seen.
async fn from_files<F, B, R>(mut files: F, request: Request<B>) -> Response<Body>
where
    F: Service<Request<()>, Response = Response<R>, Error = std::convert::Infallible>,
    R: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    let Ok(response) = files.call(request.map(drop)).await;
    let mut response = response.map(Body::new);
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

fn plain(status: StatusCode, text: impl Into<String>) -> Response<Body> {
    let mut response = Response::new(Body::from(text.into()));
    *response.status_mut() = status;
    response
}

/// Runs a handler, or what a mount asks its socket (`connect`, `id`, a check of the origin); a panic in it is a 500 and a telemetry event, and the connection lives on.
async fn caught(answer: impl FnOnce() -> Answer, path: String) -> Response<Body> {
    let mut answer = match catch_unwind(AssertUnwindSafe(answer)) {
        Ok(answer) => answer,
        Err(payload) => return crashed(&*payload, path),
    };
    let outcome =
        std::future::poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| answer.as_mut().poll(cx))) {
            Ok(polled) => polled.map(Ok),
            Err(payload) => Poll::Ready(Err(payload)),
        });
    match outcome.await {
        Ok(response) => response,
        Err(payload) => crashed(&*payload, path),
    }
}

fn crashed(payload: &(dyn std::any::Any + Send), path: String) -> Response<Body> {
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| payload.downcast_ref::<String>().cloned());
    telemetry::emit(&RouteCrashed { path, panic: text.unwrap_or_default() });
    plain(StatusCode::INTERNAL_SERVER_ERROR, "internal server error")
}

impl fmt::Debug for Router {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Router")
            .field("routes", &self.routes.keys())
            .field("mounts", &self.mounts.keys())
            .field("files", &self.files.keys())
            .finish_non_exhaustive()
    }
}

/// A route's handler panicked; its client got a 500: `heronry.endpoint.route_crashed`.
#[derive(Debug)]
struct RouteCrashed {
    path: String,
    panic: String,
}

impl fmt::Display for RouteCrashed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the route {} crashed: panic: {}", self.path, self.panic)
    }
}

impl Event for RouteCrashed {
    fn name(&self) -> &'static str {
        "heronry.endpoint.route_crashed"
    }

    fn level(&self) -> Level {
        Level::Error
    }
}

/// A route's handler took too long; its client got a 503: `heronry.endpoint.route_timed_out`.
#[derive(Debug)]
struct RouteTimedOut {
    path: String,
    timeout: Duration,
}

impl fmt::Display for RouteTimedOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the route {} gave no answer in {:?}", self.path, self.timeout)
    }
}

impl Event for RouteTimedOut {
    fn name(&self) -> &'static str {
        "heronry.endpoint.route_timed_out"
    }

    fn level(&self) -> Level {
        Level::Warn
    }
}
