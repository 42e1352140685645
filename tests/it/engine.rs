//! Engines that need nothing but this workspace pass the suite of all engines.

use std::sync::Arc;
use std::time::Duration;

use heronry::engine::sim::{Faults, Sim};
use heronry::engine::{Engine, FramesDropped, Local, LocalHub};
use heronry::node::NodeId;
use heronry::testing::{TelemetryTest, assert_receive};
use tests::conformance::engine::{Broker, Lab, faults, frames};

struct LocalLab(LocalHub);

impl Lab for LocalLab {
    async fn engine(&self, node: NodeId) -> Arc<dyn Engine> {
        Arc::new(Local::new(node, &self.0))
    }
}

struct SimLab(Sim);

impl SimLab {
    fn new() -> Self {
        Self(Sim::new(1, Faults { delay_max: Duration::from_millis(30), ..Faults::default() }))
    }
}

impl Lab for SimLab {
    async fn engine(&self, node: NodeId) -> Arc<dyn Engine> {
        Arc::new(self.0.engine(node))
    }
}

impl Broker for SimLab {
    async fn kill(&self) {
        self.0.control(|network, _| network.kill_broker());
    }

    async fn start(&self) {
        self.0.control(|network, _| network.start_broker());
    }

    fn pause(&self) {
        self.0.control(|network, now| network.stop_broker(now));
    }

    fn resume(&self) {
        self.0.control(|network, _| network.start_broker());
    }
}

#[tokio::test(start_paused = true)]
async fn local_is_an_engine() {
    frames::all(&LocalLab(LocalHub::new())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn local_bounds_what_waits_for_a_slow_receiver() {
    let mut dropped = TelemetryTest::attach(|event: &FramesDropped| event.count);
    frames::a_slow_receiver_loses_frames_and_hears_of_a_gap(&LocalLab(LocalHub::new())).await;
    let count = assert_receive!(dropped, count => count);
    assert!(count > 100_000, "{count}");
}

#[tokio::test(start_paused = true)]
async fn sim_is_an_engine() {
    frames::all(&SimLab::new()).await;
}

#[tokio::test(start_paused = true)]
async fn sim_comes_back_after_its_broker() {
    let lab = SimLab::new();
    faults::a_killed_broker_is_noticed_and_found_again(&lab, &lab).await;
    faults::a_stopped_broker_is_noticed_and_found_again(&lab, &lab, false).await;
    faults::what_a_dead_broker_did_not_take_is_not_sent_to_the_next(&lab, &lab).await;
    faults::an_engine_stops_without_its_broker(&lab, &lab).await;
}
