//! The figures as Markdown: what each costs, beside its target and the floor; and how fast it was.
//!
//! Pure but for [`About::read`], which asks the machine about itself.

use std::fmt::Write as _;
use std::fs;
use std::process::Command;

use super::Measured;
use super::server::Subject;
use super::suite::Figure;
use crate::load::Report;

/// Under what circumstances it was measured.
#[derive(Debug, Default)]
pub(super) struct About {
    pub(super) machine: String,
    pub(super) date: String,
    pub(super) commit: String,
    pub(super) rustc: String,
    pub(super) runs: usize,
    pub(super) seconds: u64,
}

impl About {
    /// What can't be found out is left empty.
    pub(super) fn read(runs: usize, seconds: u64) -> Self {
        let said = |program: &str, args: &[&str]| {
            let output =
                Command::new(program).args(args).output().ok().filter(|output| output.status.success());
            output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default()
        };
        let value = |path: &str, name: &str| {
            let text = fs::read_to_string(path).unwrap_or_default();
            let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
            line.split_once(':').map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
        };
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        let kib: u64 = value("/proc/meminfo", "MemTotal").trim_end_matches(" kB").parse().unwrap_or_default();
        let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
        let load = load.split(' ').next().unwrap_or_default();
        let model = value("/proc/cpuinfo", "model name");
        Self {
            machine: format!("{cores} cores ({model}), {} GiB, load {load} at the end", kib >> 20),
            date: said("date", &["-u", "+%F"]),
            commit: said("git", &["describe", "--always", "--dirty"]),
            rustc: said("rustc", &["--version"]),
            runs,
            seconds,
        }
    }
}

/// Both tables.
pub(super) fn markdown(about: &About, subjects: &[Subject], measured: &[Measured]) -> String {
    let About { machine, date, commit, rustc, runs, seconds } = about;
    let mut text = format!(
        "# Channels, beside the floor\n\n`cargo run --release -p bench --bin compare -- --write`: medians of {runs}, {seconds} s \
         each. Definitions: `load --help`, `compare --help`. The\ngenerator runs on the same cores.\n\nMachine: {machine}. \
         {rustc}, release build, mimalloc. {date}, commit {commit}.\n\n"
    );
    costs(&mut text, subjects, measured);
    text.push_str("\nHow fast, and how long it took (p50 / p99 / p999 in ms); `busy` is the generator, which is one thread.\n\n");
    rates(&mut text, subjects, measured);
    text
}

fn costs(text: &mut String, subjects: &[Subject], measured: &[Measured]) {
    text.push_str("| work | figure | target |");
    for subject in subjects {
        let _ = write!(text, " {} |", subject.name());
        if *subject != Subject::Heronry {
            let _ = write!(text, " heronry / {} |", subject.name());
        }
    }
    let columns = 2 + 2 * subjects.len();
    let _ = writeln!(text, "\n|{}", "---|".repeat(columns));
    for (case, reports) in measured {
        for (row, figure) in case.figures.iter().enumerate() {
            let name = if row == 0 { &*case.name } else { "" };
            let _ = write!(text, "| {name} | {} | {} |", figure.title, target(figure));
            let ours = value(figure, reports.first());
            for (subject, report) in subjects.iter().zip(reports) {
                let theirs = value(figure, Some(report));
                let _ = write!(text, " {} |", theirs.map_or("—".to_owned(), short));
                if *subject != Subject::Heronry {
                    let ratio = ours.zip(theirs).map(|(ours, theirs)| ours / theirs);
                    let ratio = ratio.filter(|ratio| ratio.is_finite());
                    let _ =
                        write!(text, " {} |", ratio.map_or("—".to_owned(), |ratio| format!("{ratio:.2}")));
                }
            }
            text.push('\n');
        }
    }
}

fn target(figure: &Figure) -> String {
    figure.target.map_or("—".to_owned(), |target| format!("≤ {target}"))
}

fn value(figure: &Figure, report: Option<&Option<Report>>) -> Option<f64> {
    Some(report?.as_ref()?.get(figure.key)? / figure.scale)
}

/// Three digits or so.
fn short(value: f64) -> String {
    if value >= 100.0 {
        format!("{value:.0}")
    } else if value >= 10.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.2}")
    }
}

fn rates(text: &mut String, subjects: &[Subject], measured: &[Measured]) {
    text.push_str("| work |");
    for subject in subjects {
        let _ = write!(text, " {}: /s | latency | busy |", subject.name());
    }
    let _ = writeln!(text, "\n|{}", "---|".repeat(1 + 3 * subjects.len()));
    for (case, reports) in measured {
        // What has no operations has no rate.
        if reports.iter().flatten().all(|report| report.get("per_s").is_none()) {
            continue;
        }
        let _ = write!(text, "| {} |", case.name);
        for report in reports {
            let get = |key| report.as_ref().and_then(|report| report.get(key));
            let ms = |key| get(key).map_or("—".to_owned(), |us| short(us / 1_000.0));
            let rate = get("per_s").map_or("—".to_owned(), |rate| format!("{rate:.0}"));
            let busy = get("generator_busy").map_or("—".to_owned(), |busy| format!("{busy:.2}"));
            let _ =
                write!(text, " {rate} | {} / {} / {} | {busy} |", ms("p50_us"), ms("p99_us"), ms("p999_us"));
        }
        text.push('\n');
    }
}
