//! What a library must be able to do to be measured.

use std::time::Duration;

pub(super) type Error = Box<dyn std::error::Error + Send + Sync>;

/// The timeout of each call, Erlang's default.
pub(super) const CALL_TIMEOUT: Duration = Duration::from_secs(5);

/// One library of processes.
pub(super) trait Library {
    /// The address of a process that passes tokens on. It arrives at [`STARTED`](super::gate::STARTED) when it runs,
    /// and is the idle process, too.
    type Node: Clone + Send + Sync + 'static;
    /// The address of a process that counts casts and answers calls.
    type Server: Clone + Send + Sync + 'static;
    /// A supervisor, kept alive.
    type Tree: Send;

    /// Spawns a node, without waiting for it where the library allows that.
    fn node() -> impl Future<Output = Result<Self::Node, Error>> + Send;

    /// Tells a node where its tokens go.
    fn connect(node: &Self::Node, next: Self::Node) -> Result<(), Error>;

    /// Gives a node a token with so many hops to go; the node that gets one with none arrives at
    /// [`DONE`](super::gate::DONE).
    fn pass(node: &Self::Node, hops: u64) -> Result<(), Error>;

    /// Starts a server.
    fn server() -> impl Future<Output = Result<Self::Server, Error>> + Send;

    /// Adds one, without a reply.
    fn cast(server: &Self::Server) -> Result<(), Error>;

    /// How many casts the server has handled.
    fn call(server: &Self::Server) -> impl Future<Output = Result<u64, Error>> + Send;

    /// Starts a supervisor with one child. The child arrives at [`DONE`](super::gate::DONE) as it starts and, if more
    /// are missing there, sends itself a message that makes it panic. `None` if the library has no supervision.
    fn supervise() -> impl Future<Output = Result<Option<Self::Tree>, Error>> + Send;
}
