//! The words that every program uses: `use heronry::prelude::*;`.

pub use crate::exit::ExitReason;
pub use crate::pid::{Pid, Ref};
pub use crate::process::{Addr, Context, Info, Received, SpawnOptions, spawn, whereis};
pub use crate::server::{CallError, Init, Next, ReplyTo, Server, ServerOptions, StartError};
pub use crate::supervisor::{ChildSpec, Restart, Shutdown, Supervisor};
pub use crate::task::{Task, TaskError};
pub use crate::timer::TimerRef;
