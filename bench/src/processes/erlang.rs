//! Erlang, measured by Erlang: compiles `erlang.erl` into a folder of its own and runs it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::library::Error;
use super::measure::{Measurement, Sample};

const SOURCE: &str = include_str!("erlang.erl");

/// Whether Erlang can be run here.
pub(super) fn is_here() -> bool {
    let found = |program: &str| {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
    };
    found("erl") && found("erlc")
}

pub(super) fn measure(what: Measurement, n: u64) -> Result<Sample, Error> {
    let folder = Folder::new()?;
    let source = folder.0.join("processes_bench.erl");
    std::fs::write(&source, SOURCE)?;
    run(Command::new("erlc").arg("-o").arg(&folder.0).arg(&source))?;
    let line = run(Command::new("erl")
        .args(["-noshell", "-noinput", "+P", "5000000", "-pa"])
        .arg(&folder.0)
        .args(["-run", "processes_bench", "main", what.name(), &n.to_string()]))?;
    Sample::from_line(&line)
}

fn run(command: &mut Command) -> Result<String, Error> {
    let output = command.stdin(Stdio::null()).output()?;
    if !output.status.success() {
        let said = [output.stdout, output.stderr].concat();
        return Err(format!("{command:?}: {}: {}", output.status, String::from_utf8_lossy(&said)).into());
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// A temporary folder, removed when it is dropped.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Result<Self, Error> {
        let path: &Path = &std::env::temp_dir().join(format!("heronry-bench-{}", std::process::id()));
        std::fs::create_dir_all(path)?;
        Ok(Self(path.to_owned()))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // If it can't be removed, the system's own cleaning of its temporary folder will.
        drop(std::fs::remove_dir_all(&self.0));
    }
}
