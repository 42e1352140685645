//! The floors hold: a file imports only from lower floors, its own folder, and modules listed before it on its floor.
//!
//! Reads the sources as text. Fails on an upward edge, on a module that the table does not list, and on a clock,
//! randomness or IO in a file whose docs say `//! Pure:`. Test code (`tests.rs`, `#[cfg(test)]`) is exempt.

use std::fs;
use std::io;
use std::path::Path;

use tests::workspace_root;

mod paths;
mod rules;
mod table;
mod tokens;

use rules::Source;
use table::{CHANNELS, Crate, PRESENCE, RUNTIME};

#[test]
fn the_floors_of_runtime_hold() {
    check_crate(&RUNTIME);
}

#[test]
fn the_floors_of_channels_hold() {
    check_crate(&CHANNELS);
}

#[test]
fn the_floors_of_presence_hold() {
    check_crate(&PRESENCE);
}

fn check_crate(table: &Crate) {
    let root = workspace_root();
    let folder = root.join(table.folder);
    let mut sources = Vec::new();
    read_sources(&folder, &folder, &mut sources).expect("the sources can be read");
    assert!(sources.iter().any(|source| source.path == "lib.rs"), "no lib.rs in {}", folder.display());
    let findings = rules::check(table, &sources);
    assert!(
        findings.is_empty(),
        "{} does not keep its floors (tests/it/floors/table.rs):\n{}",
        table.folder,
        findings.join("\n")
    );
}

fn read_sources(root: &Path, folder: &Path, sources: &mut Vec<Source>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            read_sources(root, &path, sources)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let inner = path.strip_prefix(root).expect("invariant: the walk stays below its root");
            let text = fs::read_to_string(&path)?;
            sources.push(Source { path: inner.to_string_lossy().into_owned(), text });
        }
    }
    Ok(())
}
