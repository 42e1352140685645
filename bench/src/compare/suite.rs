//! What is measured, and what it should cost at most.

use crate::Error;
use crate::load::Scenario;

/// One scenario of the suite.
#[derive(Debug)]
pub(super) struct Case {
    pub(super) name: String,
    pub(super) scenario: Scenario,
    /// What is compared, each with its unit and its target.
    pub(super) figures: Vec<Figure>,
    /// Whether the floor can do it at all: it has no limits to show.
    pub(super) has_floor: bool,
}

/// A figure that is compared; less is better.
#[derive(Clone, Copy, Debug)]
pub(super) struct Figure {
    pub(super) key: &'static str,
    pub(super) title: &'static str,
    /// What one of the unit is in the report's.
    pub(super) scale: f64,
    /// What it may be at most, in the unit of the title.
    pub(super) target: Option<f64>,
}

const MIB: f64 = 1_048_576.0;
const KB: f64 = 1_000.0;

fn cpu(title: &'static str, target: f64) -> Figure {
    Figure { key: "cpu_us_per_op", title, scale: 1.0, target: Some(target) }
}

fn memory(key: &'static str, title: &'static str) -> Figure {
    Figure { key, title, scale: KB, target: Some(8.0) }
}

fn presence() -> Vec<Figure> {
    vec![
        cpu("µs CPU a client and user", 0.5),
        Figure {
            key: "half_gone_cpu_us_per_op",
            title: "… when half are gone",
            scale: 1.0,
            target: Some(0.5),
        },
        Figure { key: "all_know_all_ms", title: "ms until all know all", scale: 1.0, target: Some(1_000.0) },
    ]
}

/// All of them; those that take a time last so many seconds.
pub(super) fn all(seconds: u64) -> Result<Vec<Case>, Error> {
    let seconds = &*seconds.to_string();
    let case = |name: &str, args: &[&str], figures: Vec<Figure>| {
        let word = name.split([' ', ',']).next().unwrap_or_default();
        let scenario = Scenario::parse(word, args)?;
        Ok::<_, Error>(Case { name: name.to_owned(), scenario, figures, has_floor: true })
    };
    let echo = "µs CPU an echo";
    let delivery = "µs CPU a delivery";
    Ok(vec![
        case("connect 10,000", &["10000"], vec![cpu("µs CPU a connect and join", 50.0)])?,
        case(
            "memory of 10,000",
            &["10000"],
            vec![
                memory("rss_bytes_per_connection", "KB a connection, new"),
                memory("rss_bytes_per_connection_after_storm", "… after 20 broadcasts"),
                memory("rss_bytes_per_connection_idle_again", "… 20 s later"),
            ],
        )?,
        case("echo 100 × 1", &["100", "1", seconds], vec![cpu(echo, 6.0)])?,
        case("echo 100 × 16", &["100", "16", seconds], vec![cpu(echo, 4.0)])?,
        case("paced 5,000 /s", &["100", "5000", seconds], vec![cpu(echo, 14.0)])?,
        case("fanout to 1,000", &["1000", seconds], vec![cpu(delivery, 2.2)])?,
        case("fanout to 10,000", &["10000", seconds], vec![cpu(delivery, 4.0)])?,
        case("bcast to 1,000, 10 at a time", &["1000", "10", seconds], vec![cpu(delivery, 1.5)])?,
        case("bcast to 10,000, 10 at a time", &["10000", "10", seconds], vec![cpu(delivery, 2.5)])?,
        case(
            "crash, 50 beside 150",
            &["50", "150", seconds],
            vec![
                cpu("µs CPU a crash and join", 25.0),
                Figure {
                    key: "bystander_p99_us",
                    title: "… a bystander's p99, ms",
                    scale: 1_000.0,
                    target: None,
                },
            ],
        )?,
        case("storm of 5,000", &["5000"], vec![cpu("µs CPU a reconnect and join", 60.0)])?,
        Case { has_floor: false, ..case("presence of 1,000", &["1000"], presence())? },
        Case {
            has_floor: false,
            ..case(
                "stall, 20 of 120",
                &["100", "20", seconds],
                vec![
                    Figure { key: "rss_bytes_max", title: "MiB RSS at most", scale: MIB, target: None },
                    Figure { key: "rss_bytes_after", title: "… after", scale: MIB, target: None },
                    Figure {
                        key: "stalled_disconnected",
                        title: "… of 20 disconnected",
                        scale: 1.0,
                        target: None,
                    },
                ],
            )?
        },
    ])
}
