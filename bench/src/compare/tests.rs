//! The suite against the floor, in this process, with a handful of clients: each scenario comes to its end and has
//! measured something. That the floor answers as it should is what the scenarios check by themselves.

use std::time::Duration;

use super::server::Subject;
use super::{floor, suite, table};
use crate::load::{Report, Scenario, Target};

const CLIENTS: usize = 5;
const LASTS: Duration = Duration::from_millis(200);

fn run(scenario: Scenario) -> Report {
    let target = Target { addr: floor::start(), pid: std::process::id() };
    scenario.run(&target).unwrap()
}

/// As many operations as so many clients can't have done without the server, and plausible latencies.
fn check(report: &Report, ops_min: f64) {
    let get = |key| report.get(key).unwrap();
    assert!(get("ops") >= ops_min, "{report:?}");
    assert!(get("per_s") > 0.0 && get("rss_bytes") > 0.0, "{report:?}");
    let (p50, p99, max) = (get("p50_us"), get("p99_us"), get("max_us"));
    assert!(0.0 < p50 && p50 <= p99 && p99 <= max, "{report:?}");
}

#[test]
fn connect() {
    let report = run(Scenario::Connect { connections: CLIENTS });
    check(&report, 5.0);
    assert_eq!(report.get("connections"), Some(5.0));
}

#[test]
fn echo() {
    check(&run(Scenario::Echo { connections: CLIENTS, in_flight: 3, lasts: LASTS }), 100.0);
}

#[test]
fn paced() {
    let report = run(Scenario::Paced { connections: CLIENTS, per_s: 500, lasts: LASTS });
    check(&report, 50.0);
    // An open loop does not send more than it should, however fast the replies are; at most what was late comes on top.
    assert!(report.get("ops").unwrap() <= 150.0, "{report:?}");
    // A tick that is missed would be made up for only when the generator looks up by itself, every 100 ms.
    assert!(report.get("p50_us").unwrap() < 30_000.0, "{report:?}");
}

#[test]
fn fanout() {
    check(&run(Scenario::Fanout { subscribers: CLIENTS, lasts: LASTS }), 100.0);
}

#[test]
fn bcast() {
    check(&run(Scenario::Bcast { subscribers: CLIENTS, burst: 4, lasts: LASTS }), 100.0);
}

#[test]
fn crash() {
    let report = run(Scenario::Crash { crashers: CLIENTS, bystanders: 2, lasts: LASTS });
    check(&report, 50.0);
    assert!(report.get("bystander_p99_us").unwrap() > 0.0, "{report:?}");
}

#[test]
fn storm() {
    let report = run(Scenario::Storm { connections: CLIENTS });
    check(&report, 5.0);
    assert!(report.get("all_back_ms").unwrap() >= 400.0, "{report:?}");
}

#[test]
fn stall() {
    // More than the floor and the kernel keep for a client: it is cut off, and the others get all.
    let lasts = Duration::from_secs(2);
    let report = run(Scenario::Stall { readers: 2, stalled: 3, per_s: None, lasts });
    check(&report, 1_000.0);
    assert_eq!(report.get("stalled_disconnected"), Some(3.0), "{report:?}");
}

#[test]
fn the_table_has_a_line_for_each_figure_and_the_ratio() {
    let subjects = [Subject::Heronry, Subject::Floor];
    let cases = suite::all(5).unwrap();
    let figures: usize = cases.iter().map(|case| case.figures.len()).sum();
    let report = run(Scenario::Bcast { subscribers: 1, burst: 1, lasts: LASTS });
    let measured: Vec<_> = cases
        .into_iter()
        .map(|case| {
            let floor = case.has_floor.then(|| report.clone());
            (case, vec![Some(report.clone()), floor])
        })
        .collect();
    let text = table::markdown(&table::About::default(), &subjects, &measured);
    let lines = text.lines().filter(|line| line.starts_with('|')).count();
    assert_eq!(lines, 2 + figures + 2 + measured.len(), "{text}");
    let columns = |line: &str| line.matches('|').count();
    for table in text.split("\n\n").filter(|part| part.starts_with('|')) {
        assert!(table.lines().all(|line| columns(line) == columns(table.lines().next().unwrap())), "{table}");
    }
    let [bcast] =
        text.lines().filter(|line| line.starts_with("| bcast to 1,000")).take(1).collect::<Vec<_>>()[..]
    else {
        panic!("no line: {text}")
    };
    assert!(bcast.contains("| ≤ 1.5 |") && bcast.ends_with("| 1.00 |"), "{bcast}");
}

#[test]
fn a_second_server_is_named_with_address_and_process() {
    let wanted = Subject::Beside { name: "phoenix".to_owned(), addr: ([127, 0, 0, 1], 4_000).into(), pid: 7 };
    assert_eq!(Subject::parse("phoenix=127.0.0.1:4000,7").unwrap(), wanted);
    assert!(Subject::parse("127.0.0.1:4000").is_err());
}
