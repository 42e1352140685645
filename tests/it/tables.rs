//! The tables of tests are true: what they name is there, and they forget nothing of what they began with.
//!
//! `scenarios.rs` and `behaviours.rs` have one each. The first cell of a row is its name there, the last says what is
//! here; what is between explains.

use std::collections::{HashMap, HashSet};
use std::fs;

use tests::workspace_root;

/// What a row says of an upstream test.
#[derive(Debug, PartialEq, Eq)]
enum Here<'a> {
    /// Each a file and a test in it.
    Tests(Vec<(&'a str, &'a str)>),
    DoesNotApply,
    Pending,
}

/// One part of a table: its name, how many rows its heading promises, and its rows' first and last cells.
#[derive(Debug)]
struct Part<'a> {
    name: &'a str,
    promised: usize,
    rows: Vec<(&'a str, &'a str)>,
}

fn parts(text: &str) -> Vec<Part<'_>> {
    let mut parts: Vec<Part<'_>> = Vec::new();
    for line in text.lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            let (name, count) = heading.rsplit_once(": ").expect("a heading ends with its number of rows");
            let (count, _) = count.split_once(' ').expect("a number of something");
            parts.push(Part { name, promised: count.parse().expect("a number"), rows: Vec::new() });
        } else if let Some(row) = line.strip_prefix("| ").filter(|row| !row.ends_with("| here |")) {
            let row = row.strip_suffix(" |").unwrap_or_else(|| panic!("not a row: {line}"));
            let (name, rest) = row.split_once(" | ").unwrap_or_else(|| panic!("not two cells: {line}"));
            let here = rest.rsplit_once(" | ").map_or(rest, |(_, here)| here);
            parts.last_mut().expect("a heading comes first").rows.push((name, here));
        }
    }
    parts
}

fn here(cell: &str) -> Result<Here<'_>, String> {
    for (mark, here) in [("does not apply: ", Here::DoesNotApply), ("pending: ", Here::Pending)] {
        if let Some(why) = cell.strip_prefix(mark) {
            return if why.trim().is_empty() { Err(format!("{mark}says no more")) } else { Ok(here) };
        }
    }
    let test = |name: &'_ str| -> Option<(usize, usize)> {
        let name = name.strip_prefix('`')?.strip_suffix('`')?;
        let at = name.find("::")?;
        Some((at, name.len()))
    };
    let mut tests = Vec::new();
    for name in cell.split(", ") {
        let (at, len) = test(name).ok_or_else(|| format!("neither a test nor a reason: {name}"))?;
        tests.push((&name[1..=at], &name[at + 3..=len]));
    }
    Ok(Here::Tests(tests))
}

/// Whether `text` has a test of this name: a function with an attribute that makes it one.
fn has_test(text: &str, name: &str) -> bool {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let is_it = |line: &&str| {
        let line = line.trim_start_matches("async ");
        line.strip_prefix("fn ")
            .and_then(|line| line.strip_prefix(name))
            .is_some_and(|rest| rest.starts_with('('))
    };
    lines.iter().enumerate().filter(|(_, line)| is_it(line)).any(|(at, _)| {
        let before =
            lines[..at].iter().rev().take_while(|line| line.starts_with("#[") || line.starts_with("//"));
        before.into_iter().any(|line| line.starts_with("#[test]") || line.starts_with("#[tokio::test"))
    })
}

/// Reads a table of the folder `tests`; what is wrong with it, and how many of its rows are pending.
fn check(table: &str, parts_min: usize) -> (Vec<String>, usize) {
    let root = workspace_root();
    let text = fs::read_to_string(root.join("tests").join(table)).expect("the table can be read");
    let parts = parts(&text);
    assert!(parts.len() >= parts_min, "parts of {table} are missing");
    let mut files: HashMap<&str, String> = HashMap::new();
    let mut findings = Vec::new();
    let mut pending = 0;
    for part in &parts {
        if part.rows.len() != part.promised {
            findings.push(format!("{}: {} rows of {}", part.name, part.rows.len(), part.promised));
        }
        let mut seen = HashSet::new();
        for (there, cell) in &part.rows {
            if !seen.insert(there) {
                findings.push(format!("{}: {there}: twice", part.name));
            }
            match here(cell) {
                Ok(Here::DoesNotApply) => {}
                Ok(Here::Pending) => pending += 1,
                Ok(Here::Tests(tests)) => {
                    for (file, test) in tests {
                        let text = files.entry(file).or_insert_with(|| {
                            let beside = root.join(file);
                            let path =
                                if beside.is_file() { beside } else { root.join("tests/it").join(file) };
                            fs::read_to_string(path).unwrap_or_default()
                        });
                        if !has_test(text, test) {
                            findings.push(format!("{}: {there}: no test {file}::{test}", part.name));
                        }
                    }
                }
                Err(why) => findings.push(format!("{}: {there}: {why}", part.name)),
            }
        }
    }
    (findings, pending)
}

/// Fails unless all is true that the table says, and so many of its rows are pending.
#[track_caller]
pub(crate) fn assert_true(table: &str, parts_min: usize, pending_allowed: usize) {
    let (findings, pending) = check(table, parts_min);
    assert!(findings.is_empty(), "tests/{table} is not true:\n{}", findings.join("\n"));
    assert_eq!(pending, pending_allowed, "rows that are pending; the constant says how many may be");
}

#[test]
fn a_part_has_a_heading_with_a_number_and_rows_of_which_the_ends_count() {
    let text = "# Title\n\n## One: 2 tests\n\n| there | here |\n|---|---|\n| a | `x` |\n| b | c |\n\n\
                ## Two: 1 row\n\n| name | what | there | here |\n|---|---|---|---|\n| d | e | f | g |\n";
    let parts = parts(text);
    let shown: Vec<_> = parts.iter().map(|part| (part.name, part.promised, &*part.rows)).collect();
    assert_eq!(shown, [("One", 2, &[("a", "`x`"), ("b", "c")][..]), ("Two", 1, &[("d", "g")])]);
}

#[test]
fn a_row_is_tests_or_a_reason() {
    assert_eq!(
        here("`task.rs::one`, `task/stream.rs::two`"),
        Ok(Here::Tests(vec![("task.rs", "one"), ("task/stream.rs", "two")]))
    );
    assert_eq!(here("does not apply: there is none"), Ok(Here::DoesNotApply));
    assert_eq!(here("pending: groups"), Ok(Here::Pending));
    for wrong in ["", "does not apply: ", "pending: ", "task.rs::one", "`task.rs`", "`task.rs::one` and more"]
    {
        assert!(here(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn a_test_is_a_function_with_an_attribute_of_one() {
    let text = "#[tokio::test(start_paused = true)]\nasync fn one() {}\n\nfn two() {}\n  /// Why.\n  #[test]\n  fn three(\n";
    for (name, is_one) in [("one", true), ("two", false), ("three", true), ("thre", false), ("four", false)] {
        assert_eq!(has_test(text, name), is_one, "{name}");
    }
}
