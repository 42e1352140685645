//! Random trees of supervisors against a naive model: who lives, in which order children were stopped and started, how
//! often, and what becomes of the supervisors themselves.
//!
//! A case is a tree (`plan.rs`) and what is done to it, one operation after the other. After each one all is quiet
//! before the two are compared: time is paused and each operation has its own slot of it, so that whatever it started
//! is over when the slot is. `model.rs` is written from the documentation of OTP's `supervisor`.
//!
//! A failure prints the smallest case that fails and its seed; this runs the same cases again:
//!
//! ```sh
//! PROPTEST_RNG_SEED=<seed> cargo test -p tests --test it -- supervisor::tree
//! ```
//!
//! `PROPTEST_CASES=20000` looks for longer.

mod model;
mod plan;
mod real;

use std::hash::{BuildHasher, RandomState};

use heronry::prelude::*;
use heronry::process;
use heronry::supervisor::SupervisorRef;
use proptest::sample::Index;
use proptest::test_runner::{Config, RngSeed, TestRunner};
use tokio::time::{Instant, sleep_until, timeout};

use model::{Child, Life, Model, Sup};
use plan::{Branch, Manner, OPERATION_MAX, Op, SLOT};
use real::{Grove, answer};

/// How many trees, unless `PROPTEST_CASES` says otherwise.
const CASES: u32 = 1_024;

#[test]
fn whole_trees_agree_with_a_naive_model() {
    let mut config = Config { failure_persistence: None, ..Config::default() };
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = CASES;
    }
    let seed = match config.rng_seed {
        RngSeed::Fixed(seed) => seed,
        RngSeed::Random => RandomState::new().hash_one(()),
    };
    config.rng_seed = RngSeed::Fixed(seed);
    let run = TestRunner::new(config).run(&(plan::tree(), plan::ops()), |(tree, ops)| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.expect("a runtime").block_on(check(&tree, ops));
        Ok(())
    });
    if let Err(error) = run {
        panic!("PROPTEST_RNG_SEED={seed}: {error}");
    }
}

/// A tree, as it is and as it should be.
struct Both {
    model: Model,
    grove: Grove,
    root: SupervisorRef,
    /// The end of the current slot.
    until: Instant,
}

async fn check(tree: &Branch, ops: Vec<Op>) {
    let grove = Grove::default();
    let root = grove.start(tree).await;
    let mut both = Both { model: Model::start(tree), grove, root, until: Instant::now() };
    both.compare("the start").await;
    for op in ops {
        if both.model.root.is_none() {
            break;
        }
        let what = format!("{op:?}");
        both.carry_out(op, &what).await;
        both.pass(1).await;
        both.compare(&what).await;
    }
    both.model.stop();
    bounded("the last stop", both.root.stop()).await;
    both.pass(1).await;
    both.compare("the last stop").await;
    both.grove.clear();
}

/// Waits, within the slot, for what must happen.
async fn bounded<F: Future>(what: &str, future: F) -> F::Output {
    match timeout(OPERATION_MAX, future).await {
        Ok(output) => output,
        Err(_) => panic!("waited in vain for {what}"),
    }
}

fn pick<T>(at: &Index, among: Vec<T>) -> Option<T> {
    if among.is_empty() {
        return None;
    }
    let at = at.index(among.len());
    among.into_iter().nth(at)
}

impl Both {
    /// Lets time pass to the end of a slot; whatever is under way is over by then.
    async fn pass(&mut self, slots: u32) {
        self.until += SLOT * slots;
        self.model.pass(slots);
        sleep_until(self.until).await;
    }

    fn worker(&self, at: &Index) -> Option<((u32, u32, Manner), Addr<plan::Way>)> {
        let worker = pick(at, self.model.workers())?;
        Some((worker, self.grove.worker(worker.0, worker.1)))
    }

    fn supervisor(&self, at: &Index) -> u32 {
        let ids = self.model.supervisors().iter().map(|sup| sup.id).collect();
        pick(at, ids).expect("the root runs")
    }

    fn child(&self, at: &Index) -> Option<(SupervisorRef, u32)> {
        let (supervisor, id) = pick(at, self.model.children())?;
        Some((self.grove.supervisor(supervisor), id))
    }

    /// Does an operation to both; to nobody if there is nobody to do it to.
    async fn carry_out(&mut self, op: Op, what: &str) {
        match op {
            Op::End(at, way) => {
                if let Some((worker, addr)) = self.worker(&at) {
                    addr.send(way).expect("the model says that it lives");
                    self.model.end(worker, way);
                }
            }
            Op::Signal(at, way) => {
                if let Some((worker, addr)) = self.worker(&at) {
                    let reason = way.reason().unwrap_or_else(|| ExitReason::custom("another boom"));
                    // Of a stranger: outside of any process the signal would be the worker's own.
                    let stranger = spawn(move |_: Context<()>| async move {
                        assert!(process::exit(addr.pid(), reason), "the model says that it lives");
                    });
                    assert_eq!(bounded("the signal", stranger.wait()).await, ExitReason::Normal);
                    self.model.signal(worker, way);
                }
            }
            Op::Kill(at) => {
                if let Some((worker, addr)) = self.worker(&at) {
                    assert!(process::kill(addr.pid()), "the model says that it lives");
                    self.model.kill(worker);
                }
            }
            Op::KillSupervisor(at) => {
                let id = self.supervisor(&at);
                assert!(process::kill(self.grove.supervisor(id).pid()), "the model says that it lives");
                self.model.kill_supervisor(id);
            }
            Op::FailStarts(at, times) => {
                if let Some((id, _, _)) = pick(&at, self.model.workers()) {
                    self.grove.fail_starts(id, times);
                    self.model.fail_starts(id, times);
                }
            }
            Op::Pass(slots) => self.pass(slots).await,
            Op::Stop => {
                bounded("the stop", self.root.stop()).await;
                self.model.stop();
            }
            Op::Terminate(_) | Op::Restart(_) | Op::Delete(_) | Op::Add { .. } => {
                self.request(op, what).await
            }
        }
    }

    async fn request(&mut self, op: Op, what: &str) {
        let (got, expected) = match op {
            Op::Terminate(at) => {
                let Some((sup, id)) = self.child(&at) else { return };
                (answer(bounded(what, sup.terminate_child(id.to_string())).await), self.model.terminate(id))
            }
            Op::Restart(at) => {
                let Some((sup, id)) = self.child(&at) else { return };
                (answer(bounded(what, sup.restart_child(id.to_string())).await), self.model.restart(id))
            }
            Op::Delete(at) => {
                let Some((sup, id)) = self.child(&at) else { return };
                (answer(bounded(what, sup.delete_child(id.to_string())).await), self.model.delete(id))
            }
            Op::Add { to, spec, taken } => {
                let to = self.supervisor(&to);
                let spec = self.model.numbered(to, spec, taken);
                let child = self.grove.child(&spec);
                let got = bounded(what, self.grove.supervisor(to).start_child(child)).await;
                (answer(got), self.model.add(to, spec))
            }
            Op::End(..)
            | Op::Signal(..)
            | Op::Kill(_)
            | Op::KillSupervisor(_)
            | Op::FailStarts(..)
            | Op::Pass(_)
            | Op::Stop => unreachable!("invariant: a request"),
        };
        assert_eq!(got, expected, "what was answered to {what}");
    }

    async fn compare(&mut self, what: &str) {
        let (expected, loose) = self.model.news();
        let mut got = self.grove.news();
        for event in loose {
            let at = got.iter().position(|other| *other == event);
            got.remove(at.unwrap_or_else(|| panic!("after {what}: no {event:?} in {got:?}")));
        }
        assert_eq!(got, expected, "what happened after {what}");
        match &self.model.root {
            Some(root) => self.compare_supervisor(root, what).await,
            None => {
                let end = bounded("the root's end", self.root.wait()).await;
                assert_eq!(Some(&end), self.model.end.as_ref(), "why the root ended after {what}");
            }
        }
    }

    /// Compares what is there, this supervisor and below.
    async fn compare_supervisor(&self, expected: &Sup, what: &str) {
        let supervisor = self.grove.supervisor(expected.id);
        let children = bounded("an answer", supervisor.which_children()).await;
        let children = children.unwrap_or_else(|error| panic!("after {what}: {}: {error}", expected.id));
        let got: Vec<_> =
            children.iter().map(|child| (child.id.to_string(), child.pid, child.restarts)).collect();
        let pid = |child: &Child| {
            child.life.as_ref().map(|life| match life {
                Life::Worker(life) => self.grove.worker(child.spec.id, *life).pid(),
                Life::Supervisor(below) => self.grove.supervisor(below.id).pid(),
            })
        };
        let expected_children: Vec<_> = expected
            .children
            .iter()
            .map(|child| (child.spec.id.to_string(), pid(child), child.restarts))
            .collect();
        assert_eq!(got, expected_children, "the children of {} after {what}", expected.id);
        let counts = bounded("an answer", supervisor.count_children()).await.expect("it lives");
        let active = expected.children.iter().filter(|child| child.life.is_some()).count();
        assert_eq!((counts.specs, counts.active), (expected.children.len(), active), "after {what}");
        for child in &expected.children {
            if let Some(Life::Supervisor(below)) = &child.life {
                Box::pin(self.compare_supervisor(below, what)).await;
            }
        }
    }
}
