//! What a scenario found: numbers with names.
//!
//! Pure: numbers in, JSON out.

use serde_json::{Map, Value, json};

use super::latency::Latencies;

/// The figures of one run of a scenario.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    scenario: &'static str,
    figures: Vec<(&'static str, f64)>,
}

impl Report {
    pub(super) fn new(scenario: &'static str) -> Self {
        Self { scenario, figures: Vec::new() }
    }

    pub(super) fn set(&mut self, name: &'static str, figure: f64) {
        self.figures.push((name, figure));
    }

    pub(super) fn latencies(&mut self, latencies: &Latencies) {
        self.set("p50_us", latencies.percentile_us(0.5));
        self.set("p99_us", latencies.percentile_us(0.99));
        self.set("p999_us", latencies.percentile_us(0.999));
        self.set("max_us", latencies.max_us());
    }

    /// A figure by its name.
    pub fn get(&self, name: &str) -> Option<f64> {
        self.figures.iter().find(|(other, _)| *other == name).map(|(_, figure)| *figure)
    }

    /// The medians of several runs of one scenario, figure by figure.
    pub fn median(runs: &[Self]) -> Option<Self> {
        let first = runs.first()?;
        let median = |name| {
            let mut figures: Vec<f64> = runs.iter().filter_map(|run| run.get(name)).collect();
            figures.sort_unstable_by(f64::total_cmp);
            figures.get(figures.len() / 2).map(|figure| (name, *figure))
        };
        let figures = first.figures.iter().filter_map(|(name, _)| median(name)).collect();
        Some(Self { scenario: first.scenario, figures })
    }

    /// One object: the scenario and its figures, with three decimals at most.
    pub fn json(&self) -> Value {
        let mut object = Map::new();
        object.insert("scenario".to_owned(), json!(self.scenario));
        for (name, figure) in &self.figures {
            object.insert((*name).to_owned(), number(*figure));
        }
        Value::Object(object)
    }
}

/// Whole numbers as such, others with three decimals.
fn number(figure: f64) -> Value {
    let rounded = (figure * 1_000.0).round() / 1_000.0;
    if rounded.fract() == 0.0 { json!(rounded as i64) } else { json!(rounded) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(figure: f64) -> Report {
        let mut report = Report::new("echo");
        report.set("per_s", figure);
        report
    }

    #[test]
    fn the_median_is_taken_of_each_figure() {
        let runs = [report(3.0), report(1.0), report(2.5)];
        assert_eq!(Report::median(&runs), Some(report(2.5)));
        assert_eq!(Report::median(&[]), None);
    }

    #[test]
    fn whole_numbers_are_written_as_such() {
        assert_eq!(report(5.0).json(), json!({ "scenario": "echo", "per_s": 5 }));
        assert_eq!(report(1.23456).json()["per_s"], json!(1.235));
    }
}
