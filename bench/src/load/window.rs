//! The time that is measured, after a warm-up: operations, latencies, and what the server spends meanwhile.

use std::time::Duration;

use tokio::time::Instant;

use super::Target;
use super::latency::Latencies;
use super::report::Report;
use crate::Error;

/// What runs before it is measured: caches, allocators and congestion windows are as they will be.
const WARM_UP: Duration = Duration::from_secs(1);

/// What a process and this one have used so far.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spent {
    at: Instant,
    server_us: u64,
    own_us: u64,
}

impl Spent {
    pub(super) fn now(target: &Target) -> Result<Self, Error> {
        let own_us = crate::cpu_us(std::process::id())?;
        Ok(Self { at: Instant::now(), server_us: crate::cpu_us(target.pid)?, own_us })
    }

    /// Enters what was spent since, on so many operations.
    pub(super) fn report(&self, target: &Target, ops: u64, report: &mut Report) -> Result<(), Error> {
        let now = Self::now(target)?;
        let elapsed = now.at - self.at;
        let each = |us: u64| us as f64 / ops as f64;
        report.set("ops", ops as f64);
        report.set("per_s", ops as f64 / elapsed.as_secs_f64());
        report.set("cpu_us_per_op", each(now.server_us - self.server_us));
        // At 1 the generator, which is one thread, is the limit, and not the server.
        report.set("generator_busy", (now.own_us - self.own_us) as f64 / elapsed.as_micros() as f64);
        report.set("rss_bytes", crate::rss_bytes(target.pid)? as f64);
        Ok(())
    }
}

/// The window of a scenario that runs for some seconds.
pub(super) struct Window<'a> {
    target: &'a Target,
    begins: Instant,
    ends: Instant,
    spent: Option<Spent>,
    latencies: Latencies,
}

impl<'a> Window<'a> {
    /// Begins after the warm-up and lasts so long.
    pub(super) fn new(target: &'a Target, lasts: Duration) -> Self {
        let begins = Instant::now() + WARM_UP;
        Self { target, begins, ends: begins + lasts, spent: None, latencies: Latencies::new() }
    }

    /// Looks at the clock; false once the window is over.
    pub(super) fn is_open(&mut self) -> Result<bool, Error> {
        let now = Instant::now();
        if self.spent.is_none() && now >= self.begins {
            self.spent = Some(Spent::now(self.target)?);
        }
        Ok(now < self.ends)
    }

    /// When there is a reason to look again.
    pub(super) fn next(&self) -> Instant {
        if self.spent.is_none() { self.begins } else { self.ends }
    }

    /// One operation is done; what was done before the window does not count.
    pub(super) fn add(&mut self, latency: Duration) {
        if self.spent.is_some() {
            self.latencies.add(latency);
        }
    }

    /// What the window has seen; one operation is one latency.
    ///
    /// # Errors
    /// If there was none: then something is wrong.
    pub(super) fn report(self, report: &mut Report) -> Result<(), Error> {
        let ops = self.latencies.len();
        let spent = self.spent.filter(|_| ops > 0).ok_or("nothing was measured")?;
        spent.report(self.target, ops, report)?;
        report.latencies(&self.latencies);
        Ok(())
    }
}
