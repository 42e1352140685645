//! What the example programs share: the parts of a program that are not its point.

pub mod log;
pub mod npm;

use std::path::PathBuf;

/// The folder of the front-end files: beside this package's sources, or `examples/web` below the current folder where
/// the program was built elsewhere.
pub fn web_folder() -> PathBuf {
    let built = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/web"));
    if built.is_dir() { built } else { PathBuf::from("examples/web") }
}
