//! The rules, on sources in memory: what may import what, and what a pure file may not touch.

use std::collections::HashSet;

use super::paths::{UsedPath, uses};
use super::table::Crate;

/// One source file of a crate.
pub(super) struct Source {
    /// From `src`, such as `process/run.rs`.
    pub(super) path: String,
    pub(super) text: String,
}

/// What a pure file may not name: each entry is a run of path segments. Randomness and the network come as crates,
/// the rest as items.
const IMPURE: [&[&str]; 7] = [
    &["std", "net"],
    &["std", "fs"],
    &["Instant", "now"],
    &["clock", "now"],
    &["SystemTime"],
    &["tokio"],
    &["rand"],
];

/// What of `std::net` is a mere value: an address may come in as an argument.
const PURE_ADDRESSES: [&str; 6] =
    ["IpAddr", "Ipv4Addr", "Ipv6Addr", "SocketAddr", "SocketAddrV4", "SocketAddrV6"];

/// The line with which a file declares itself pure begins like this.
const PURE_MARK: &str = "//! Pure:";

/// Checks all files of a crate; one line for each finding, empty if the floors hold.
pub(super) fn check(table: &Crate, sources: &[Source]) -> Vec<String> {
    let exempt: HashSet<String> = sources.iter().flat_map(test_files).collect();
    let mut findings = Vec::new();
    for source in sources.iter().filter(|source| !is_test_file(&source.path, &exempt)) {
        let module = module_path(&source.path);
        let own = module.first().map_or("lib", String::as_str);
        let Some(own_floor) = floor(table, own) else {
            findings.push(format!("{}: the module {own} is not in the table: give it a floor", source.path));
            continue;
        };
        let pure = source.text.lines().any(|line| line.starts_with(PURE_MARK));
        for used in uses(&module, &source.text).paths {
            findings.extend(edge_finding(table, source, own, own_floor, &used));
            findings.extend(purity_finding(source, &used).filter(|_| pure));
        }
    }
    findings
}

/// A module's place: its floor, and its position on that floor.
type Floor = (usize, usize);

fn floor(table: &Crate, module: &str) -> Option<Floor> {
    table.floors.iter().enumerate().find_map(|(floor, modules)| {
        modules.iter().position(|listed| *listed == module).map(|position| (floor, position))
    })
}

fn edge_finding(
    table: &Crate,
    source: &Source,
    own: &str,
    own_floor: Floor,
    used: &UsedPath,
) -> Option<String> {
    let [first, rest @ ..] = used.segments.as_slice() else { return None };
    if first != "crate" {
        return None;
    }
    // A name that is no listed module is an item of the crate's root.
    let listed = rest.first().and_then(|name| floor(table, name).map(|floor| (name.as_str(), floor)));
    let (target, target_floor) = listed.or_else(|| Some(("lib", floor(table, "lib")?)))?;
    if target == own || target_floor < own_floor {
        return None;
    }
    let what = if target_floor.0 > own_floor.0 { "upward" } else { "later on the same floor" };
    Some(format!(
        "{}:{}: {} is {what}: {own} is on {letter}{}, {target} on {letter}{}",
        source.path,
        used.line,
        used.segments.join("::"),
        own_floor.0,
        target_floor.0,
        letter = table.letter,
    ))
}

fn purity_finding(source: &Source, used: &UsedPath) -> Option<String> {
    if let [std, net, address, ..] = used.segments.as_slice()
        && std == "std"
        && net == "net"
        && PURE_ADDRESSES.contains(&address.as_str())
    {
        return None;
    }
    let impure = IMPURE.iter().find(|run| {
        used.segments.windows(run.len()).any(|window| window.iter().zip(run.iter()).all(|(a, b)| a == b))
    })?;
    Some(format!(
        "{}:{}: {} in a file that says `{PURE_MARK}`: pass {} in from outside",
        source.path,
        used.line,
        used.segments.join("::"),
        impure.join("::"),
    ))
}

fn module_path(path: &str) -> Vec<String> {
    let path = path.trim_end_matches(".rs");
    if path == "lib" { Vec::new() } else { path.split('/').map(str::to_owned).collect() }
}

/// The files, without `.rs`, that `source` declares as test-only modules.
fn test_files(source: &Source) -> Vec<String> {
    let module = module_path(&source.path);
    let names = uses(&module, &source.text).test_modules;
    names.into_iter().map(|name| [module.as_slice(), &[name]].concat().join("/")).collect()
}

fn is_test_file(path: &str, exempt: &HashSet<String>) -> bool {
    let path = path.trim_end_matches(".rs");
    path.split('/').any(|part| part == "tests")
        || exempt.iter().any(|file| path == file || path.starts_with(&format!("{file}/")))
}

#[cfg(test)]
mod tests {
    use super::super::table::Crate;
    use super::{Source, check};

    const TABLE: Crate = Crate {
        folder: "none",
        letter: 'T',
        floors: &[&["exit", "pid"], &["process"], &["server"], &["prelude", "lib"]],
    };

    fn finds(path: &str, text: &str, expect: &[&str]) {
        let source = Source { path: path.to_owned(), text: text.to_owned() };
        assert_eq!(check(&TABLE, &[source]), expect, "{path}: {text}");
    }

    #[test]
    fn downward_edges_and_the_own_folder_are_free() {
        finds("process.rs", "use crate::{exit::ExitReason, process::run}; mod run;", &[]);
        finds("process/run.rs", "use super::table; use crate::process::names; use super::super::pid;", &[]);
        finds("lib.rs", "pub mod server; pub use crate::server::Server; pub use process::spawn;", &[]);
        finds("pid.rs", "use crate::exit::ExitReason;", &[]);
    }

    #[test]
    fn an_upward_edge_is_found_in_every_spelling() {
        let found = |line: usize| {
            format!("process/run.rs:{line}: crate::server::Server is upward: process is on T1, server on T2")
        };
        for text in [
            "\nuse crate::server::Server;",
            "\nuse crate::{pid::Pid, server::{Server}};",
            "\nfn f(x: &crate::server::Server) {}",
            "\nuse super::super::server::Server;",
        ] {
            finds("process/run.rs", text, &[&found(2)]);
        }
        finds(
            "pid.rs",
            "use crate::Server;",
            &["pid.rs:1: crate::Server is upward: pid is on T0, lib on T3"],
        );
        finds(
            "pid.rs",
            "use crate::prelude::*;",
            &["pid.rs:1: crate::prelude::* is upward: pid is on T0, prelude on T3"],
        );
    }

    #[test]
    fn on_one_floor_only_earlier_modules_may_be_imported() {
        finds(
            "exit.rs",
            "use crate::pid::Pid;",
            &["exit.rs:1: crate::pid::Pid is later on the same floor: exit is on T0, pid on T0"],
        );
    }

    #[test]
    fn an_unlisted_module_is_found() {
        let found = |path: &str| format!("{path}: the module extra is not in the table: give it a floor");
        finds("extra.rs", "", &[&found("extra.rs")]);
        finds("extra/inner.rs", "", &[&found("extra/inner.rs")]);
    }

    #[test]
    fn a_pure_file_that_is_not_pure_is_found() {
        for (used, path) in [
            ("use tokio::time;", "tokio::time"),
            ("fn f() { let now = Instant::now(); }", "Instant::now"),
            ("fn f() { let now = std::time::Instant::now(); }", "std::time::Instant::now"),
            ("fn f() { crate::clock::now(); }", "crate::clock::now"),
            ("use std::{net::TcpStream};", "std::net::TcpStream"),
            ("fn f() { std::fs::read(\"x\") }", "std::fs::read"),
            ("use std::time::SystemTime;", "std::time::SystemTime"),
            ("fn f() -> u8 { rand::random() }", "rand::random"),
        ] {
            let text = format!("//! Exits.\n//!\n//! Pure: time comes in.\n{used}");
            let findings = check(&TABLE, &[Source { path: "server.rs".to_owned(), text }]);
            let purity: Vec<_> =
                findings.iter().filter(|finding| finding.contains("says `//! Pure:`")).collect();
            assert_eq!(purity.len(), 1, "{used}: {findings:?}");
            assert!(purity[0].starts_with(&format!("server.rs:4: {path} ")), "{used}: {findings:?}");
        }
        finds(
            "exit.rs",
            "//! Pure: yes.\nuse std::{net::SocketAddr, time::Instant};\n// tokio::spawn\n#[cfg(test)]\nuse tokio::x;",
            &[],
        );
        finds("exit.rs", "//! Not pure.\nuse tokio::time;", &[]);
    }

    #[test]
    fn test_files_are_exempt() {
        finds("process/tests.rs", "use crate::server::Server;", &[]);
        let sources = [
            ("process.rs", "#[cfg(test)] mod support;"),
            ("process/support.rs", "use crate::server::Server;"),
            ("process/other.rs", "use crate::server::Server;"),
        ]
        .map(|(path, text)| Source { path: path.to_owned(), text: text.to_owned() });
        assert_eq!(
            check(&TABLE, &sources),
            ["process/other.rs:1: crate::server::Server is upward: process is on T1, server on T2",]
        );
    }
}
