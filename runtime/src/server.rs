//! Servers: processes with a state, an `init`, and one callback for each thing that can arrive. OTP's `gen_server`.

mod call;
mod ignore;
mod options;
mod reply;
mod run;
mod state;
mod stop;

pub use call::CallError;
pub use ignore::ignore;
pub use options::{ServerOptions, StartError};
pub use reply::ReplyTo;
pub use state::{STATE_BYTES_MAX, StateError, get_state};
pub use stop::StopError;

pub(crate) use options::start;

use crate::exit::ExitReason;
use crate::process::{Addr, Context, Info};

/// What [`Server::init`] returns: the state, or why there is none; [`ignore`] if none is needed.
pub type Init<S> = Result<S, ExitReason>;

/// What a callback says should happen next.
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub enum Next {
    /// Wait for the next message.
    Continue,
    /// Call [`Server::terminate`] and end with this reason.
    Stop(ExitReason),
}

/// A process with a state that handles one message after the other; OTP's `gen_server`.
///
/// `Msg` is an enum with a variant for each cast and each call; a call's variant carries a [`ReplyTo`].
///
/// - A panic in `handle` or `handle_info` ends the server: `terminate` runs, as in OTP, with the panic as its reason
///   and the state as the panic left it, and everybody who waits for a reply learns the reason at once.
/// - An exit signal ends a server that doesn't trap exits at once, without `terminate`. One that traps them (call
///   [`Context::trap_exit`] in `init`) gets `terminate` when the process that it was started linked with (its supervisor)
///   exits, and `handle_info` for others.
///
/// ```
/// use std::time::Duration;
/// use heronry::prelude::*;
///
/// struct Counter { count: u64 }
///
/// enum Msg { Add(u64), Get(ReplyTo<u64>) }
///
/// impl Server for Counter {
///     type Args = u64;
///     type Msg = Msg;
///
///     async fn init(start: u64, _: &mut Context<Msg>) -> Init<Self> {
///         Ok(Counter { count: start })
///     }
///
///     async fn handle(&mut self, msg: Msg, _: &mut Context<Msg>) -> Next {
///         match msg {
///             Msg::Add(n) => self.count += n,
///             Msg::Get(reply_to) => reply_to.send(self.count),
///         }
///         Next::Continue
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let counter = Counter::start(40).await?;
/// counter.cast(Msg::Add(2))?;
/// assert_eq!(counter.call(Msg::Get, Duration::from_secs(5)).await?, 42);
/// # Ok(()) }
/// ```
pub trait Server: Sized + Send + 'static {
    /// What `init` is given.
    type Args: Send + 'static;
    /// What arrives in its mailbox.
    type Msg: Send + 'static;

    /// Makes the state. Whoever started the server waits for it; an `Err` or a panic is what they get.
    fn init(args: Self::Args, ctx: &mut Context<Self::Msg>) -> impl Future<Output = Init<Self>> + Send;

    /// Handles one message; OTP's `handle_call` and `handle_cast`.
    fn handle(&mut self, msg: Self::Msg, ctx: &mut Context<Self::Msg>) -> impl Future<Output = Next> + Send;

    /// Handles a trapped exit or the end of a monitored process; does nothing unless implemented.
    fn handle_info(&mut self, info: Info, ctx: &mut Context<Self::Msg>) -> impl Future<Output = Next> + Send {
        let _ = (info, ctx);
        async { Next::Continue }
    }

    /// Handles what [`Context::continue_with`] was given, before anything that waits in the mailbox: the rest of an `init`
    /// that its starter should not wait for, or the second half of a callback. OTP's `handle_continue`; passes the
    /// message to [`handle`](Self::handle) unless implemented.
    fn handle_continue(
        &mut self,
        msg: Self::Msg,
        ctx: &mut Context<Self::Msg>,
    ) -> impl Future<Output = Next> + Send {
        self.handle(msg, ctx)
    }

    /// Called before the server ends by its own doing: a [`Next::Stop`], a panic in a callback, an [`Addr::stop`], or
    /// (when it traps exits) the exit of the process that it was started linked with.
    fn terminate(
        &mut self,
        reason: &ExitReason,
        ctx: &mut Context<Self::Msg>,
    ) -> impl Future<Output = ()> + Send {
        let _ = (reason, ctx);
        async {}
    }

    /// Shows the state to who asks by [`get_state`]: `Some(format!("{self:?}"))`, where the state is
    /// [`Debug`](std::fmt::Debug) and holds nothing that nobody should see. Shows nothing unless implemented. The
    /// counterpart of OTP's `format_status`.
    fn format_state(&self) -> Option<String> {
        None
    }

    /// Starts the server, linked to nobody, and waits for its `init`.
    ///
    /// # Errors
    /// [`StartError`] if `init` fails.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    fn start(args: Self::Args) -> impl Future<Output = Result<Addr<Self::Msg>, StartError>> + Send {
        ServerOptions::new().start::<Self>(args)
    }
}

/// Makes the process that awaits it a server: runs `init`, then handles messages until it stops. For a process whose
/// starter doesn't wait for its `init`; if that fails, the process ends. The counterpart in OTP is
/// `gen_server:enter_loop`.
///
/// ```
/// # use heronry::prelude::*;
/// # struct Idle;
/// # impl Server for Idle {
/// #     type Args = ();
/// #     type Msg = ();
/// #     async fn init((): (), _: &mut Context<()>) -> Init<Self> { Ok(Idle) }
/// #     async fn handle(&mut self, (): (), _: &mut Context<()>) -> Next { Next::Stop(ExitReason::Normal) }
/// # }
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let idle = spawn(|ctx| heronry::server::enter_loop::<Idle>((), ctx));
/// idle.send(()).unwrap();
/// assert_eq!(idle.wait().await, ExitReason::Normal);
/// # }
/// ```
pub fn enter_loop<S: Server>(
    args: S::Args,
    ctx: Context<S::Msg>,
) -> impl Future<Output = ExitReason> + Send + 'static {
    let parent = ctx.parent();
    run::run::<S>(args, ctx, parent, None)
}
