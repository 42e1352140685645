//! `tests/scenarios.md` is true: what it names is there, and it forgets nothing of what it began with.

use std::collections::{HashMap, HashSet};
use std::fs;

use tests::workspace_root;

/// What a row says of an upstream test.
#[derive(Debug, PartialEq, Eq)]
enum Here<'a> {
    /// Each a file and a test in it.
    Tests(Vec<(&'a str, &'a str)>),
    DoesNotApply,
}

/// One suite: its name, how many tests its heading promises, and its rows.
#[derive(Debug)]
struct Suite<'a> {
    name: &'a str,
    promised: usize,
    rows: Vec<(&'a str, &'a str)>,
}

fn suites(text: &str) -> Vec<Suite<'_>> {
    let mut suites: Vec<Suite<'_>> = Vec::new();
    for line in text.lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            let (name, count) = heading.rsplit_once(": ").expect("a heading ends with its number of tests");
            let promised = count.trim_end_matches(" tests").parse().expect("a number of tests");
            suites.push(Suite { name, promised, rows: Vec::new() });
        } else if let Some(row) = line.strip_prefix("| ").filter(|row| *row != "there | here |") {
            let row = row.strip_suffix(" |").unwrap_or_else(|| panic!("not a row: {line}"));
            let cells = row.split_once(" | ").unwrap_or_else(|| panic!("not two cells: {line}"));
            suites.last_mut().expect("a heading comes first").rows.push(cells);
        }
    }
    suites
}

fn here(cell: &str) -> Result<Here<'_>, String> {
    if let Some(why) = cell.strip_prefix("does not apply: ") {
        return if why.trim().is_empty() { Err("no reason".to_owned()) } else { Ok(Here::DoesNotApply) };
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

#[test]
fn the_table_names_tests_that_are_there() {
    let root = workspace_root();
    let text = fs::read_to_string(root.join("tests/scenarios.md")).expect("the table can be read");
    let suites = suites(&text);
    assert!(suites.len() >= 12, "suites are missing");
    let mut files: HashMap<&str, String> = HashMap::new();
    let mut findings = Vec::new();
    for suite in &suites {
        if suite.rows.len() != suite.promised {
            findings.push(format!("{}: {} rows for {} tests", suite.name, suite.rows.len(), suite.promised));
        }
        let mut seen = HashSet::new();
        for (there, cell) in &suite.rows {
            if !seen.insert(there) {
                findings.push(format!("{}: {there}: twice", suite.name));
            }
            match here(cell) {
                Ok(Here::DoesNotApply) => {}
                Ok(Here::Tests(tests)) => {
                    for (file, test) in tests {
                        let text = files.entry(file).or_insert_with(|| {
                            let beside = root.join(file);
                            let path =
                                if beside.is_file() { beside } else { root.join("tests/it").join(file) };
                            fs::read_to_string(path).unwrap_or_default()
                        });
                        if !has_test(text, test) {
                            findings.push(format!("{}: {there}: no test {file}::{test}", suite.name));
                        }
                    }
                }
                Err(why) => findings.push(format!("{}: {there}: {why}", suite.name)),
            }
        }
    }
    assert!(findings.is_empty(), "tests/scenarios.md is not true:\n{}", findings.join("\n"));
}

#[test]
fn a_row_is_tests_or_a_reason() {
    assert_eq!(
        here("`task.rs::one`, `task/stream.rs::two`"),
        Ok(Here::Tests(vec![("task.rs", "one"), ("task/stream.rs", "two")]))
    );
    assert_eq!(here("does not apply: there is none"), Ok(Here::DoesNotApply));
    for wrong in
        ["", "does not apply: ", "pending: groups", "task.rs::one", "`task.rs`", "`task.rs::one` and more"]
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
