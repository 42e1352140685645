//! All measurements of all libraries, each in child processes of this program, side by side.

use std::fmt::Write as _;
use std::process::{Command, Stdio};

use serde_json::{Map, Value, json};

use super::erlang;
use super::heronry::Heronry;
use super::kameo::Kameo;
use super::library::Error;
use super::measure::{Measurement, Sample, measure};
use super::ractor::Ractor;
use super::tokio_mpsc::TokioMpsc;

/// How often each is measured; odd, for a median.
const RUNS: usize = 3;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Subject {
    Heronry,
    Ractor,
    Kameo,
    TokioMpsc,
    Erlang,
}

/// The medians of one library; none if it isn't here.
pub(super) type Results = Vec<(Subject, Option<Vec<(Measurement, Option<Sample>)>>)>;

impl Subject {
    const ALL: [Self; 5] = [Self::Heronry, Self::Ractor, Self::Kameo, Self::TokioMpsc, Self::Erlang];

    fn name(self) -> &'static str {
        match self {
            Self::Heronry => "heronry",
            Self::Ractor => "ractor",
            Self::Kameo => "kameo",
            Self::TokioMpsc => "tokio_mpsc",
            Self::Erlang => "erlang",
        }
    }

    pub(super) fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|subject| subject.name() == name)
    }

    /// Measures in this process, or in Erlang's.
    pub(super) fn measure(self, what: Measurement, n: u64) -> Result<Option<Sample>, Error> {
        match self {
            Self::Heronry => measure::<Heronry>(what, n),
            Self::Ractor => measure::<Ractor>(what, n),
            Self::Kameo => measure::<Kameo>(what, n),
            Self::TokioMpsc => measure::<TokioMpsc>(what, n),
            Self::Erlang => erlang::measure(what, n).map(Some),
        }
    }

    fn is_here(self) -> bool {
        match self {
            Self::Heronry | Self::Ractor | Self::Kameo | Self::TokioMpsc => true,
            Self::Erlang => erlang::is_here(),
        }
    }
}

/// Measures everything. A run measures all libraries one after the other, so that a busy moment of the machine does
/// not fall upon one alone.
pub(super) fn all(processes: u64) -> Result<Results, Error> {
    let here: Vec<bool> = Subject::ALL.iter().map(|subject| subject.is_here()).collect();
    let mut results: Results =
        Subject::ALL.iter().zip(&here).map(|(subject, here)| (*subject, here.then(Vec::new))).collect();
    for what in Measurement::ALL {
        let n = if what == Measurement::Bytes { processes } else { what.times() };
        let mut samples: Vec<Vec<Sample>> = vec![Vec::with_capacity(RUNS); results.len()];
        for _ in 0..RUNS {
            for ((subject, medians), samples) in results.iter().zip(&mut samples) {
                if medians.is_some() {
                    samples.extend(in_child(*subject, what, n)?);
                }
            }
        }
        for ((_, medians), samples) in results.iter_mut().zip(samples) {
            if let Some(medians) = medians {
                medians.push((what, median(samples)));
            }
        }
    }
    Ok(results)
}

fn in_child(subject: Subject, what: Measurement, n: u64) -> Result<Option<Sample>, Error> {
    let output = Command::new(std::env::current_exe()?)
        .args(["measure", subject.name(), what.name(), &n.to_string()])
        .stdin(Stdio::null())
        .output()?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{} {}: {}: {said}", subject.name(), what.name(), output.status).into());
    }
    let line = String::from_utf8(output.stdout)?;
    if line.trim() == "null" { Ok(None) } else { Sample::from_line(&line).map(Some) }
}

/// The medians of the values and of the CPU times.
fn median(samples: Vec<Sample>) -> Option<Sample> {
    let values = samples.iter().map(|sample| sample.value).collect();
    let cpu_us = samples.iter().filter_map(|sample| sample.cpu_us).collect();
    Some(Sample { value: middle(values)?, cpu_us: middle(cpu_us) })
}

fn middle(mut values: Vec<f64>) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

/// One object for each library, null if it isn't here.
pub(super) fn json(results: &Results) -> Value {
    let of = |medians: &Vec<(Measurement, Option<Sample>)>| {
        let value = |sample: &Option<Sample>| json!(sample.map(|sample| sample.value.round()));
        let cpu_us = |(what, sample): &(Measurement, Option<Sample>)| {
            let cpu_us = (*sample)?.cpu_us?;
            Some((what.name().to_owned(), json!((cpu_us * 1_000.0).round() / 1_000.0)))
        };
        let mut object: Map<String, Value> =
            medians.iter().map(|(what, sample)| (what.key(), value(sample))).collect();
        object.insert("cpu_us".to_owned(), medians.iter().filter_map(cpu_us).collect::<Map<_, _>>().into());
        Value::Object(object)
    };
    let object: Map<String, Value> = results
        .iter()
        .map(|(subject, medians)| (subject.name().to_owned(), medians.as_ref().map_or(Value::Null, of)))
        .collect();
    object.into()
}

/// A line for each measurement; beside each figure, how many times Heronry's it is.
pub(super) fn table(results: &Results) -> String {
    let mut text = format!("{:<18}", "");
    for (subject, _) in results {
        let _ = write!(text, "{:>20}", subject.name());
    }
    for (row, what) in Measurement::ALL.into_iter().enumerate() {
        let _ = write!(text, "\n{:<18}", what.key());
        let value = |medians: &Option<Vec<(Measurement, Option<Sample>)>>| {
            medians.as_ref()?.get(row)?.1.map(|sample| sample.value)
        };
        let ours = results.first().and_then(|(_, medians)| value(medians));
        for (_, medians) in results {
            let cell = match (value(medians), ours) {
                (Some(value), Some(ours)) => format!("{value:.0} ({:.2}x)", value / ours),
                (Some(value), None) => format!("{value:.0}"),
                (None, _) => "-".to_owned(),
            };
            let _ = write!(text, "{cell:>20}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn results() -> Results {
        let sample = |value| Some(Sample { value, cpu_us: Some(0.5) });
        vec![
            (Subject::Heronry, Some(Measurement::ALL.map(|what| (what, sample(1_000.0))).to_vec())),
            (Subject::TokioMpsc, Some(Measurement::ALL.map(|what| (what, None)).to_vec())),
            (Subject::Erlang, None),
        ]
    }

    #[test]
    fn what_a_library_lacks_is_null() {
        let json = json(&results());
        assert_eq!(json["heronry"]["ring_per_s"], 1_000.0);
        assert_eq!(json["heronry"]["cpu_us"]["ring"], 0.5);
        assert!(json["tokio_mpsc"].as_object().unwrap()["restart_per_s"].is_null());
        assert!(json["erlang"].is_null());
    }

    #[test]
    fn the_table_has_a_line_for_each_measurement() {
        let table = table(&results());
        assert_eq!(table.lines().count(), 1 + Measurement::ALL.len());
        assert!(table.contains("1000 (1.00x)"));
    }

    #[test]
    fn the_middle_of_three() {
        assert_eq!(middle(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(middle(vec![]), None);
    }
}
