//! The service from the inside: its limit, and what it leaves behind.

use super::super::events::{TimersFull, TimersOf};
use super::super::payload::{Once, Room};
use super::*;

fn idle() -> Addr<u8> {
    process::spawn(|mut ctx: process::Context<u8>| async move {
        ctx.receive().await;
    })
}

fn arm(service: &Arc<Service>, addr: &Addr<u8>, seconds: u64) -> Key {
    service.arm(addr, Duration::from_secs(seconds), Box::new(Once::new(addr.clone(), 1, Room::Limited)))
}

/// The limits that were reached, as telemetry tells it.
fn full_events(of: TimersOf, pids: Vec<Pid>) -> (telemetry::HandlerId, Arc<Mutex<Vec<Pid>>>) {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let into = heard.clone();
    let handler = telemetry::attach(move |event: &dyn telemetry::Event| {
        let Some(event) = (event as &dyn std::any::Any).downcast_ref::<TimersFull>() else { return };
        if event.of == of && event.limit == 2 && pids.contains(&event.pid) {
            into.lock().push(event.pid);
        }
    });
    (handler, heard)
}

#[tokio::test(start_paused = true)]
async fn one_more_than_the_limit_of_the_runtime_is_refused_and_room_helps() {
    let service = Arc::new(Service::new(Limits { timers: 2, per_process: 100 }));
    let (addr, other) = (idle(), idle());
    let (handler, heard) = full_events(TimersOf::Runtime, vec![addr.pid(), other.pid()]);
    let (first, second) = (arm(&service, &addr, 1), arm(&service, &addr, 2));
    for _ in 0..3 {
        assert_eq!(service.read(arm(&service, &other, 3)), None);
    }
    assert_eq!(*heard.lock(), [other.pid()], "told once");
    assert_eq!(service.read(second), Some(Duration::from_secs(2)));
    assert_eq!(service.cancel(first), Some(Duration::from_secs(1)));
    assert!(service.read(arm(&service, &addr, 3)).is_some());
    assert_eq!(service.read(arm(&service, &addr, 3)), None);
    assert_eq!(*heard.lock(), [other.pid(), addr.pid()], "and again after there was room");
    telemetry::detach(handler);
    for addr in [addr, other] {
        process::kill(addr.pid());
        addr.wait().await;
    }
    assert_eq!(service.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn one_more_than_the_limit_of_a_process_is_refused_and_harms_no_other() {
    let service = Arc::new(Service::new(Limits { timers: 100, per_process: 2 }));
    let (greedy, modest) = (idle(), idle());
    let (handler, heard) = full_events(TimersOf::Process, vec![greedy.pid(), modest.pid()]);
    let first = arm(&service, &greedy, 1);
    arm(&service, &greedy, 2);
    for _ in 0..3 {
        assert_eq!(service.read(arm(&service, &greedy, 3)), None);
    }
    assert!(service.read(arm(&service, &modest, 3)).is_some());
    assert_eq!(*heard.lock(), [greedy.pid()]);
    assert!(service.cancel(first).is_some());
    assert!(service.read(arm(&service, &greedy, 3)).is_some());
    assert_eq!(service.read(arm(&service, &greedy, 3)), None);
    assert_eq!(*heard.lock(), [greedy.pid(), greedy.pid()]);
    telemetry::detach(handler);
    process::kill(greedy.pid());
    greedy.wait().await;
    assert_eq!(service.len(), 1);
    process::kill(modest.pid());
}

#[test]
fn a_runtime_takes_its_service_with_it() {
    let run = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let id = runtime.handle().id();
        let service = runtime.block_on(async {
            let service = Service::current();
            arm(&service, &idle(), 60);
            tokio::task::yield_now().await;
            assert_eq!(service.len(), 1);
            service
        });
        drop(runtime);
        (id, service)
    };
    let (id, service) = run();
    assert!(!SERVICES.read().get(&id).is_some_and(|other| Arc::ptr_eq(other, &service)));
    assert_eq!((service.len(), Arc::strong_count(&service)), (0, 1));
    let (_, next) = run();
    assert!(!Arc::ptr_eq(&service, &next));
}

#[test]
fn delays_round_up_and_never_overflow() {
    for (delay, ticks) in [
        (Duration::ZERO, 0),
        (Duration::from_nanos(1), 1),
        (Duration::from_millis(7), 7),
        (Duration::from_micros(7_001), 8),
        (Duration::MAX, u64::MAX),
    ] {
        assert_eq!(ticks_up(delay), ticks, "{delay:?}");
    }
}
