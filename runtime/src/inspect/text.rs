//! The tree as text.
//!
//! Pure: a tree in, lines out.

use std::fmt;

use super::tree::{Node, Tree};

/// How many children of one process the text shows; the rest are counted in one line.
pub const SIBLINGS_SHOWN_MAX: usize = 1_000;

impl fmt::Display for Tree {
    /// One line a process: label, pid, name, restarts, mailbox (now, most ever), messages handled, age.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let last = last_siblings(&self.nodes);
        // For each open level: how many siblings were seen, and whether more lines of that level follow.
        let mut seen: Vec<usize> = Vec::new();
        let mut more: Vec<bool> = Vec::new();
        let mut skipped: Vec<usize> = Vec::new();
        let mut skip_below: Option<usize> = None;
        for (node, is_last) in self.nodes.iter().zip(last) {
            if skip_below.is_some_and(|depth| node.depth > depth) {
                continue;
            }
            skip_below = None;
            seen.truncate(node.depth + 1);
            skipped.truncate(node.depth + 1);
            more.truncate(node.depth);
            seen.resize(node.depth + 1, 0);
            skipped.resize(node.depth + 1, 0);
            seen[node.depth] += 1;
            if seen[node.depth] > SIBLINGS_SHOWN_MAX {
                skipped[node.depth] += 1;
                skip_below = Some(node.depth);
                if is_last {
                    indent(f, &more, true)?;
                    writeln!(f, "… and {} more", skipped[node.depth])?;
                }
                continue;
            }
            indent(f, &more, is_last)?;
            line(f, node)?;
            more.push(!is_last);
        }
        Ok(())
    }
}

fn indent(f: &mut fmt::Formatter<'_>, more: &[bool], is_last: bool) -> fmt::Result {
    // Roots stand at the margin: the line that would join them says nothing.
    let Some((_, below_root)) = more.split_first() else { return Ok(()) };
    for open in below_root {
        f.write_str(if *open { "│  " } else { "   " })?;
    }
    f.write_str(if is_last { "└─ " } else { "├─ " })
}

fn line(f: &mut fmt::Formatter<'_>, node: &Node) -> fmt::Result {
    write!(f, "{}  {}", node.label, node.pid)?;
    if let Some(name) = &node.name {
        write!(f, "  name {:?}", name.as_str())?;
    }
    if node.supervisor {
        f.write_str("  supervisor")?;
    }
    writeln!(
        f,
        "  restarts {}  mailbox {} (max {})  handled {}  age {:.1} s",
        node.restarts,
        node.mailbox_len,
        node.mailbox_len_max,
        node.handled,
        node.age.as_secs_f64()
    )
}

/// For each node, whether it is the last among its siblings.
fn last_siblings(nodes: &[Node]) -> Vec<bool> {
    let mut last = vec![true; nodes.len()];
    // Read backwards: which depths have a later sibling still open.
    let mut later: Vec<bool> = Vec::new();
    for (at, node) in nodes.iter().enumerate().rev() {
        later.truncate(node.depth + 1);
        later.resize(node.depth + 1, false);
        last[at] = !later[node.depth];
        later[node.depth] = true;
    }
    last
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;

    use super::*;
    use crate::name::Label;
    use crate::pid::Pid;
    use crate::process::{ProcessKind, ProcessStats};

    fn process(pid: u64, parent: Option<u64>, label: &str, restarts: u32) -> ProcessStats {
        let pid_of = |id| Pid::new(NonZeroU64::new(id).unwrap());
        ProcessStats {
            pid: pid_of(pid),
            parent: parent.map(pid_of),
            kind: ProcessKind::Worker,
            label: Label::from(label.to_owned()),
            name: None,
            restarts,
            mailbox_len: 0,
            mailbox_len_max: 0,
            handled: 0,
            links: 0,
            monitors: 0,
            started_at: crate::clock::now(),
        }
    }

    fn labels(processes: Vec<ProcessStats>) -> Vec<String> {
        let text = Tree::of(processes, crate::clock::now()).to_string();
        text.lines().map(|line| line.split("  <").next().unwrap().to_owned()).collect()
    }

    #[test]
    fn draws_who_spawned_whom() {
        let got = labels(vec![
            process(1, None, "shop", 0),
            process(2, Some(1), "sockets", 0),
            process(3, Some(2), "socket a", 0),
            process(4, Some(3), "room:lobby", 1),
            process(5, Some(2), "socket b", 0),
            process(6, Some(1), "listener", 0),
            process(7, Some(99), "an orphan", 0),
        ]);
        assert_eq!(
            got,
            [
                "shop",
                "├─ sockets",
                "│  ├─ socket a",
                "│  │  └─ room:lobby",
                "│  └─ socket b",
                "└─ listener",
                "an orphan",
            ]
        );
    }

    #[test]
    fn a_label_cannot_forge_a_line() {
        assert_eq!(labels(vec![process(1, None, "a\nroot  <0.1.0>", 0)]), ["a\\nroot"]);
    }

    #[test]
    fn many_siblings_are_counted() {
        let mut processes = vec![process(1, None, "root", 0)];
        processes.extend((2..2_502).map(|pid| process(pid, Some(1), "child", 0)));
        let got = labels(processes);
        assert_eq!(got.len(), 1 + SIBLINGS_SHOWN_MAX + 1);
        assert_eq!(got.last().unwrap(), "└─ … and 1500 more");
    }

    #[test]
    fn a_long_chain_is_no_deep_recursion() {
        let chain = (1..=3_000).map(|pid| process(pid, (pid > 1).then(|| pid - 1), "link", 0)).collect();
        assert_eq!(labels(chain).len(), 3_000);
    }
}
