//! Local names: a process may have one, a name belongs to one process.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, LazyLock};

use super::addr::Addr;
use super::core::Process;
use super::table::AnyProcess;
use crate::name::{Name, NameError};
use crate::pid::Pid;
use crate::sync::{RwLock, statics};

statics! {
    static NAMES: LazyLock<RwLock<HashMap<Name, Arc<dyn AnyProcess>>>> = LazyLock::new(RwLock::default);
}

/// A name was not given. Nothing changed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RegisterError {
    /// The text can't be a name.
    Name(NameError),
    /// Another process has the name: the one given.
    Taken(Name, Pid),
    /// The process has ended, or has a name already.
    NotNameable(Pid),
    /// Another process stands behind the stable address: the one given. One child spec was started twice.
    AddressTaken(Pid),
    /// The stable address is for messages of another type than the process takes.
    AddressOfOtherType,
}

/// A name that led to no address.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WhereisError {
    /// No process has this name.
    NotRegistered(String),
    /// The process of that name takes messages of another type than was asked for.
    OtherType(String),
}

/// Gives a process a name, as Erlang's `register/2`. The name is free again when the process has ended.
///
/// # Errors
/// [`RegisterError`] if the name is taken or can't be a name, or if the process has ended or has a name.
pub fn register<M: Send + 'static>(name: &str, addr: &Addr<M>) -> Result<(), RegisterError> {
    let name = Name::parse(name).map_err(RegisterError::Name)?;
    register_process(&name, addr.process().clone())
}

pub(super) fn register_process(name: &Name, process: Arc<dyn AnyProcess>) -> Result<(), RegisterError> {
    let mut names = NAMES.write();
    if let Some(holder) = names.get(name) {
        return Err(RegisterError::Taken(name.clone(), holder.pid()));
    }
    if !process.set_name(name) {
        return Err(RegisterError::NotNameable(process.pid()));
    }
    names.insert(name.clone(), process);
    Ok(())
}

/// Takes a name from its process; says whether one had it.
pub fn unregister(name: &str) -> bool {
    let removed = NAMES.write().remove(name);
    removed.is_some_and(|process| process.take_name().is_some())
}

/// Forgets the name of a process that has ended, unless another has taken it since.
pub(super) fn forget(name: &Name, pid: Pid) {
    let mut names = NAMES.write();
    if names.get(name).is_some_and(|holder| holder.pid() == pid) {
        names.remove(name);
    }
}

/// The pid of the process with this name, as Erlang's `whereis/1`.
pub fn whereis_pid(name: &str) -> Option<Pid> {
    NAMES.read().get(name).map(|process| process.pid())
}

/// The address of the process with this name.
///
/// # Errors
/// [`WhereisError`] if no process has the name, or one that takes other messages.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use heronry::{Addr, process};
///
/// let idle = process::spawn(|mut ctx: heronry::Context<u8>| async move { ctx.receive().await; });
/// process::register("idle", &idle).unwrap();
/// let found: Addr<u8> = process::whereis("idle").unwrap();
/// assert_eq!(found, idle);
/// assert!(process::whereis::<String>("idle").is_err());
/// # process::kill(idle.pid());
/// # }
/// ```
pub fn whereis<M: Send + 'static>(name: &str) -> Result<Addr<M>, WhereisError> {
    let process = NAMES.read().get(name).cloned();
    let process = process.ok_or_else(|| WhereisError::NotRegistered(name.to_owned()))?;
    match process.as_any().downcast::<Process<M>>() {
        Ok(process) => Ok(Addr::new(process)),
        Err(_) => Err(WhereisError::OtherType(name.to_owned())),
    }
}

impl fmt::Display for RegisterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(error) => error.fmt(f),
            Self::Taken(name, holder) => write!(f, "the name {name} is taken by {holder}"),
            Self::AddressTaken(holder) => write!(f, "its stable address is that of {holder}"),
            Self::AddressOfOtherType => f.write_str("its stable address is for messages of another type"),
            Self::NotNameable(pid) => write!(f, "{pid} has ended or has a name already"),
        }
    }
}

impl std::error::Error for RegisterError {}

impl fmt::Display for WhereisError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotRegistered(name) => write!(f, "no process is registered as {name:?}"),
            Self::OtherType(name) => {
                write!(f, "the process registered as {name:?} takes messages of another type")
            }
        }
    }
}

impl std::error::Error for WhereisError {}
