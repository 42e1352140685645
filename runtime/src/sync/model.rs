//! loom's locks, atomics, statics and thread locals, with the faces of those that they stand in for.

use std::cell::{Cell, RefCell};
/// Not modelled: it must be written under one of the locks here, and what it holds be asked for after that.
pub(crate) use std::sync::OnceLock;
use std::sync::PoisonError;

pub(crate) use loom::sync::atomic;
pub(crate) use loom::sync::{MutexGuard, RwLockReadGuard, RwLockWriteGuard};
use loom::thread::LocalKey;

/// A lock without poison.
#[derive(Debug, Default)]
pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(loom::sync::Mutex::new(value))
    }

    #[track_caller]
    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A lock for many readers, without poison.
#[derive(Debug, Default)]
pub(crate) struct RwLock<T>(loom::sync::RwLock<T>);

impl<T> RwLock<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(loom::sync::RwLock::new(value))
    }

    #[track_caller]
    pub(crate) fn read(&self) -> RwLockReadGuard<'_, T> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    #[track_caller]
    pub(crate) fn write(&self) -> RwLockWriteGuard<'_, T> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Statics that each execution of a model begins with anew.
macro_rules! statics {
    ($($(#[$attribute:meta])* static $name:ident: $type:ty = $init:expr;)*) => {
        loom::lazy_static! { $($(#[$attribute])* static ref $name: $type = $init;)* }
    };
}

/// Thread locals of a model's threads, which all run on one thread of the operating system.
macro_rules! thread_locals {
    ($($(#[$attribute:meta])* static $name:ident: $type:ty = const $init:block;)*) => {
        loom::thread_local! { $($(#[$attribute])* static $name: $type = $init;)* }
    };
}

pub(crate) use {statics, thread_locals};

/// What std's thread local cells have and loom's have not.
pub(crate) trait LocalCell<T> {
    fn get(&'static self) -> T
    where
        T: Copy;
    fn set(&'static self, value: T);
    fn replace(&'static self, value: T) -> T;
}

impl<T: 'static> LocalCell<T> for LocalKey<Cell<T>> {
    fn get(&'static self) -> T
    where
        T: Copy,
    {
        self.with(Cell::get)
    }

    fn set(&'static self, value: T) {
        self.with(|cell| cell.set(value));
    }

    fn replace(&'static self, value: T) -> T {
        self.with(|cell| cell.replace(value))
    }
}

/// The same for those that are borrowed.
pub(crate) trait LocalRefCell<T> {
    fn set(&'static self, value: T);
    fn take(&'static self) -> T
    where
        T: Default;
    fn with_borrow_mut<R>(&'static self, run: impl FnOnce(&mut T) -> R) -> R;
}

impl<T: 'static> LocalRefCell<T> for LocalKey<RefCell<T>> {
    fn set(&'static self, value: T) {
        self.with(|cell| drop(cell.replace(value)));
    }

    fn take(&'static self) -> T
    where
        T: Default,
    {
        self.with(RefCell::take)
    }

    fn with_borrow_mut<R>(&'static self, run: impl FnOnce(&mut T) -> R) -> R {
        self.with(|cell| run(&mut cell.borrow_mut()))
    }
}
