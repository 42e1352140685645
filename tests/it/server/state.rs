//! Asking processes for their states.

use std::sync::atomic::{AtomicUsize, Ordering};

use heronry::process::{STATE_REQUESTS_MAX, SpawnOptions};
use heronry::server::{StateError, get_state};

use super::*;

/// What a shelf shows.
#[derive(Clone, Copy)]
enum Shows {
    All,
    Nothing,
    Panic,
}

/// Keeps what it is given.
struct Shelf {
    kept: Vec<u32>,
    shows: Shows,
    /// How often it was to show its state.
    looks: Arc<AtomicUsize>,
}

enum Order {
    Put(u32),
    /// Waits for the test in the middle of a callback.
    Wait(oneshot::Receiver<()>),
    /// Takes the first message that puts this, before others.
    TakeFirst(u32),
    OwnState(ReplyTo<Result<String, StateError>>),
}

impl Server for Shelf {
    type Args = (Shows, Arc<AtomicUsize>);
    type Msg = Order;

    async fn init((shows, looks): Self::Args, _: &mut Context<Order>) -> Init<Self> {
        Ok(Self { kept: Vec::new(), shows, looks })
    }

    async fn handle(&mut self, order: Order, ctx: &mut Context<Order>) -> Next {
        match order {
            Order::Put(thing) => self.kept.push(thing),
            Order::Wait(go_on) => go_on.await.expect("the test says so"),
            Order::TakeFirst(thing) => {
                let wanted =
                    |next: &Received<Order>| matches!(next, Received::Message(Order::Put(n)) if *n == thing);
                ctx.receive_match(wanted, LONG).await.expect("it comes");
                self.kept.push(thing);
            }
            Order::OwnState(reply_to) => reply_to.send(get_state(ctx.pid(), LONG).await),
        }
        Next::Continue
    }

    fn format_state(&self) -> Option<String> {
        self.looks.fetch_add(1, Ordering::SeqCst);
        match self.shows {
            Shows::All => Some(format!("{:?}", self.kept)),
            Shows::Nothing => None,
            Shows::Panic => panic!("nobody may look"),
        }
    }
}

async fn shelf(shows: Shows) -> Addr<Order> {
    Shelf::start((shows, Arc::default())).await.expect("it starts")
}

/// Asks from outside of any process, and returns once the request waits.
async fn asking(pid: Pid) -> tokio::task::JoinHandle<Result<String, StateError>> {
    let asked = tokio::spawn(get_state(pid, LONG));
    tokio::task::yield_now().await; // one thread: it has run by then
    asked
}

#[tokio::test]
async fn the_state_is_shown_in_the_order_of_the_mailbox_even_if_that_is_full() {
    let options = ServerOptions::new().mailbox_limit(2);
    let shelf = options.start::<Shelf>((Shows::All, Arc::default())).await.expect("it starts");
    assert_eq!(within("the state", get_state(shelf.pid(), LONG)).await.as_deref(), Ok("[]"));
    let (go_on, waits) = oneshot::channel();
    shelf.cast(Order::Wait(waits)).unwrap();
    tokio::task::yield_now().await;
    shelf.cast(Order::Put(1)).unwrap();
    let before = asking(shelf.pid()).await;
    shelf.cast(Order::Put(2)).unwrap();
    assert!(matches!(shelf.cast(Order::Put(3)), Err(SendError::Full(_))));
    let after = asking(shelf.pid()).await;
    go_on.send(()).unwrap();
    assert_eq!(within("the state", before).await.unwrap().as_deref(), Ok("[1]"));
    assert_eq!(within("the state", after).await.unwrap().as_deref(), Ok("[1, 2]"));
    process::kill(shelf.pid());
}

#[tokio::test]
async fn whoever_shows_nothing_says_so_and_goes_on() {
    let quiet = shelf(Shows::Nothing).await;
    assert_eq!(within("an answer", get_state(quiet.pid(), LONG)).await, Err(StateError::NotShown));

    let panics = shelf(Shows::Panic).await;
    let refused = within("an answer", get_state(panics.pid(), LONG)).await;
    let Err(StateError::Panicked(ExitReason::Panic(report))) = refused else { panic!("{refused:?}") };
    assert_eq!(report.message, "nobody may look");
    let asked = within("the call", panics.call(Order::OwnState, LONG)).await;
    assert_eq!(asked, Ok(Err(StateError::AskingSelf)));
    for shelf in [quiet, panics] {
        assert!(shelf.is_alive());
        process::kill(shelf.pid());
    }

    let plain = spawn(|mut ctx: Context<u32>| async move {
        for n in 1..=2 {
            assert_eq!(ctx.receive().await, Received::Message(n));
        }
    });
    plain.send(1).unwrap();
    assert_eq!(within("an answer", get_state(plain.pid(), LONG)).await, Err(StateError::NotShown));
    plain.send(2).unwrap();
    assert_eq!(within("its end", plain.wait()).await, ExitReason::Normal);
    let gone = within("an answer", get_state(plain.pid(), LONG)).await;
    assert_eq!(gone, Err(StateError::Exited(ExitReason::NoProc)));

    let tree = Supervisor::one_for_one().start().await.expect("it starts");
    assert_eq!(within("an answer", get_state(tree.pid(), LONG)).await, Err(StateError::NotShown));
    within("the stop", tree.stop()).await;
}

#[tokio::test(start_paused = true)]
async fn a_state_that_nobody_waits_for_any_more_is_not_made() {
    let looks = Arc::<AtomicUsize>::default();
    let shelf = Shelf::start((Shows::All, looks.clone())).await.expect("it starts");
    let (go_on, waits) = oneshot::channel();
    shelf.cast(Order::Wait(waits)).unwrap();
    assert_eq!(get_state(shelf.pid(), LONG).await, Err(StateError::Timeout(LONG)));
    let dropped = asking(shelf.pid()).await;
    dropped.abort();
    assert!(dropped.await.expect_err("it was cancelled").is_cancelled());
    go_on.send(()).unwrap();
    assert_eq!(get_state(shelf.pid(), LONG).await.as_deref(), Ok("[]"));
    assert_eq!(looks.load(Ordering::SeqCst), 1);
    process::kill(shelf.pid());
}

#[tokio::test]
async fn so_many_may_wait_for_a_state_and_no_more() {
    let shelf = shelf(Shows::All).await;
    for _ in 0..2 {
        let (go_on, waits) = oneshot::channel();
        shelf.cast(Order::Wait(waits)).unwrap();
        let mut asked = Vec::new();
        for _ in 0..STATE_REQUESTS_MAX {
            asked.push(asking(shelf.pid()).await);
        }
        assert_eq!(within("an answer", get_state(shelf.pid(), LONG)).await, Err(StateError::Full));
        go_on.send(()).unwrap();
        for asked in asked {
            assert_eq!(within("the state", asked).await.unwrap().as_deref(), Ok("[]"));
        }
    }
    process::kill(shelf.pid());
}

#[tokio::test]
async fn whoever_asks_hears_of_the_end() {
    let shelf = shelf(Shows::All).await;
    let (_never, waits) = oneshot::channel();
    shelf.cast(Order::Wait(waits)).unwrap();
    let asked = asking(shelf.pid()).await;
    process::kill(shelf.pid());
    assert_eq!(within("an answer", asked).await.unwrap(), Err(StateError::Exited(ExitReason::Killed)));
}

#[tokio::test]
async fn a_request_waits_behind_a_selective_receive() {
    let options = SpawnOptions::new().label("selective");
    let shelf = options.spawn(|ctx| server::enter_loop::<Shelf>((Shows::All, Arc::default()), ctx));
    shelf.cast(Order::TakeFirst(2)).unwrap();
    shelf.cast(Order::Put(1)).unwrap();
    let asked = asking(shelf.pid()).await;
    shelf.cast(Order::Put(2)).unwrap();
    assert_eq!(within("the state", asked).await.unwrap().as_deref(), Ok("[2, 1]"));
    process::kill(shelf.pid());
}
