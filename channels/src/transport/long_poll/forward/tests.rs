//! How many requests go from node to node.

use std::any::Any;
use std::sync::atomic::AtomicUsize;

use super::*;

#[test]
fn more_requests_of_other_nodes_than_may_be_are_refused_and_told() {
    let told = Arc::new(AtomicUsize::new(0));
    let into = told.clone();
    let handler = telemetry::attach(move |event: &dyn Event| {
        let event: &dyn Any = event;
        if event.downcast_ref::<LongPollForwardsFull>().is_some_and(|full| !full.own) {
            into.fetch_add(1, Ordering::Relaxed);
        }
    });
    let forwarder = Forwarder::new(ChannelPubSub::new(crate::socket::Fastlane), "/socket");
    let served: Vec<_> = std::iter::from_fn(|| forwarder.serving()).collect();
    assert_eq!((served.len(), told.load(Ordering::Relaxed)), (FORWARDED_MAX, 1));
    drop(served);
    assert!(forwarder.serving().is_some());
    telemetry::detach(handler);
    assert_eq!(told.load(Ordering::Relaxed), 1);
}
