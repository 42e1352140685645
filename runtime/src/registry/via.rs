//! Servers that have their key before their `init` runs, and are reached by it: Elixir's `{:via, Registry, …}`.

use std::borrow::Borrow;
use std::fmt;
use std::hash::Hash;
use std::time::Duration;

use super::{RegisterError, Registry, Unique};
use crate::exit::ExitReason;
use crate::process::{Addr, SendError};
use crate::server::{CallError, ReplyTo, Server, ServerOptions, StartError};
use crate::supervisor::Spawner;

/// A server to be started under a key of a registry.
pub struct Via<K, V, M> {
    options: ServerOptions,
    registry: Registry<K, V, M>,
    key: K,
    value: V,
}

impl<K, V, M> Via<K, V, M>
where
    K: Eq + Hash + Clone + Send + Sync + 'static,
    V: Send + Sync + 'static,
    M: Send + 'static,
{
    /// Registers the server, and starts it and waits for its `init`.
    ///
    /// # Errors
    /// [`StartError::AlreadyStarted`] if the key is taken; then nothing of the server has run. Else as
    /// [`ServerOptions::start`].
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub async fn start<S: Server<Msg = M>>(self, args: S::Args) -> Result<Addr<M>, StartError> {
        let Self { options, registry, key, value } = self;
        let claim = move |addr: &_| match registry.table.register(addr, key, value, true) {
            Ok(_) => Ok(()),
            Err(RegisterError::AlreadyRegistered(pid)) => Err(StartError::AlreadyStarted(pid)),
            Err(RegisterError::NoProc(_)) => Err(StartError::Init(ExitReason::NoProc)),
        };
        options.start_if::<S>(args, claim).await
    }
}

impl<K, V, M> Registry<K, V, M, Unique>
where
    K: Eq + Hash + Clone + Send + Sync + 'static,
    V: Send + Sync + 'static,
    M: Send + 'static,
{
    /// Sends a message to the process that has a key; `GenServer.cast` to a `:via` tuple, and `Registry.send/2`.
    ///
    /// # Errors
    /// [`SendError::NoProc`] if no process has it; else as [`Addr::cast`].
    pub fn cast<Q>(&self, key: &Q, message: M) -> Result<(), SendError<M>>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        match self.whereis(key) {
            Some(addr) => addr.cast(message),
            None => Err(SendError::NoProc(message)),
        }
    }

    /// Calls the process that has a key; `GenServer.call` to a `:via` tuple.
    ///
    /// # Errors
    /// [`CallError::Exited`] with [`NoProc`](ExitReason::NoProc) if no process has it; else as [`Addr::call`].
    ///
    /// # Cancel safety
    /// As of [`Addr::call`].
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use heronry::prelude::*;
    /// # use heronry::registry::Registry;
    /// # struct Room { people: u32 }
    /// # enum Msg { Enter, Count(ReplyTo<u32>) }
    /// # impl Server for Room {
    /// #     type Args = ();
    /// #     type Msg = Msg;
    /// #     async fn init((): (), _: &mut Context<Msg>) -> Init<Self> { Ok(Room { people: 0 }) }
    /// #     async fn handle(&mut self, msg: Msg, _: &mut Context<Msg>) -> Next {
    /// #         match msg {
    /// #             Msg::Enter => self.people += 1,
    /// #             Msg::Count(reply_to) => reply_to.send(self.people),
    /// #         }
    /// #         Next::Continue
    /// #     }
    /// # }
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let rooms = Registry::<String, (), Msg>::unique();
    /// ServerOptions::new().via(&rooms, "lobby".to_owned(), ()).start::<Room>(()).await?;
    /// rooms.cast("lobby", Msg::Enter)?;
    /// assert_eq!(rooms.call("lobby", Msg::Count, Duration::from_secs(5)).await?, 1);
    ///
    /// let nobody = rooms.call("cellar", Msg::Count, Duration::from_secs(5)).await;
    /// assert_eq!(nobody, Err(CallError::Exited(ExitReason::NoProc)));
    /// # Ok(()) }
    /// ```
    pub async fn call<Q, T>(
        &self,
        key: &Q,
        make: impl FnOnce(ReplyTo<T>) -> M,
        timeout: Duration,
    ) -> Result<T, CallError>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
        T: Send + 'static,
    {
        match self.whereis(key) {
            Some(addr) => addr.call(make, timeout).await,
            None => Err(CallError::Exited(ExitReason::NoProc)),
        }
    }
}

impl ServerOptions {
    /// Registers the server under a key of a registry before its `init` runs; `name: {:via, Registry, {registry, key,
    /// value}}`.
    ///
    /// ```
    /// # use heronry::prelude::*;
    /// # struct Room;
    /// # impl Server for Room {
    /// #     type Args = ();
    /// #     type Msg = ();
    /// #     async fn init((): (), _: &mut Context<()>) -> Init<Self> { Ok(Room) }
    /// #     async fn handle(&mut self, (): (), _: &mut Context<()>) -> Next { Next::Continue }
    /// # }
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use heronry::registry::Registry;
    ///
    /// let rooms = Registry::unique();
    /// let lobby = ServerOptions::new().via(&rooms, "lobby", ()).start::<Room>(()).await?;
    /// assert_eq!(rooms.whereis("lobby"), Some(lobby.clone()));
    ///
    /// let second = ServerOptions::new().via(&rooms, "lobby", ()).start::<Room>(()).await;
    /// assert_eq!(second.unwrap_err(), StartError::AlreadyStarted(lobby.pid()));
    /// # Ok(()) }
    /// ```
    pub fn via<K, V, M>(self, registry: &Registry<K, V, M>, key: K, value: V) -> Via<K, V, M> {
        Via { options: self, registry: registry.clone(), key, value }
    }
}

impl Spawner {
    /// Registers the child, a server, under a key of a registry before its `init` runs, each time that it starts.
    ///
    /// ```
    /// # use heronry::prelude::*;
    /// # struct Room;
    /// # impl Server for Room {
    /// #     type Args = ();
    /// #     type Msg = ();
    /// #     async fn init((): (), _: &mut Context<()>) -> Init<Self> { Ok(Room) }
    /// #     async fn handle(&mut self, (): (), _: &mut Context<()>) -> Next { Next::Continue }
    /// # }
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use heronry::registry::Registry;
    ///
    /// let rooms = Registry::unique();
    /// let at = rooms.clone();
    /// let lobby = ChildSpec::new("lobby", move |spawner| {
    ///     let via = spawner.via(&at, "lobby", ());
    ///     async move { Ok(via.start::<Room>(()).await?.pid()) }
    /// });
    /// let tree = Supervisor::one_for_one().child(lobby).start().await?;
    /// assert!(rooms.whereis("lobby").is_some());
    /// tree.stop().await;
    /// assert!(rooms.whereis("lobby").is_none());
    /// # Ok(()) }
    /// ```
    pub fn via<K, V, M>(self, registry: &Registry<K, V, M>, key: K, value: V) -> Via<K, V, M> {
        self.into_server_options().via(registry, key, value)
    }
}

impl<K: fmt::Debug, V, M> fmt::Debug for Via<K, V, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Via").field("key", &self.key).finish_non_exhaustive()
    }
}
