//! PubSub as a stranger sees it, against `Phoenix.PubSub`.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use heronry::process::{self, Info, SpawnOptions};
use heronry::pubsub::{Dispatcher, Entry, Mailboxes, PubSub, Subscription};
use heronry::{Addr, Context, ExitReason, Pid, Received, spawn};
use tokio::sync::{mpsc, oneshot};

use crate::support::within;

type News = PubSub<Mailboxes<u32>>;

enum Msg {
    News(u32),
    /// Ends the subscription that was made first.
    Unsubscribe,
    Ping(oneshot::Sender<()>),
}

/// A process that subscribes to topics and hands on what it hears.
struct Reader {
    addr: Addr<Msg>,
    heard: mpsc::UnboundedReceiver<u32>,
}

impl Reader {
    async fn new(news: &News, topics: &[&'static str]) -> Self {
        let (hear, heard) = mpsc::unbounded_channel();
        let (news, topics) = (news.clone(), topics.to_vec());
        let addr = spawn(move |mut ctx: Context<Msg>| async move {
            let subscribe = |topic| news.subscribe_mailbox(&ctx, topic, Msg::News);
            let mut subscriptions: Vec<Subscription> = topics.into_iter().map(subscribe).collect();
            while let Received::Message(msg) = ctx.receive().await {
                match msg {
                    Msg::News(news) => hear.send(news).expect("the test listens"),
                    Msg::Unsubscribe => drop(subscriptions.remove(0)),
                    Msg::Ping(pong) => pong.send(()).expect("the test waits"),
                }
            }
        });
        let reader = Self { addr, heard };
        reader.ping().await;
        reader
    }

    /// Returns when it has handled what was sent to it before.
    async fn ping(&self) {
        let (pong, ponged) = oneshot::channel();
        assert!(self.addr.send(Msg::Ping(pong)).is_ok());
        within("the reader", ponged).await.expect("the reader lives");
    }

    /// Everything that it has been sent since the last time.
    async fn news(&mut self) -> Vec<u32> {
        self.ping().await;
        std::iter::from_fn(|| self.heard.try_recv().ok()).collect()
    }

    async fn end(&self) {
        process::kill(self.addr.pid());
        within("the reader's end", self.addr.wait()).await;
    }
}

fn news() -> News {
    PubSub::new(Mailboxes::new())
}

#[tokio::test]
async fn a_broadcast_reaches_all_subscribers_of_its_topic_and_no_others() {
    let pubsub = news();
    let mut a1 = Reader::new(&pubsub, &["a"]).await;
    let mut a2 = Reader::new(&pubsub, &["a"]).await;
    let mut b = Reader::new(&pubsub, &["b"]).await;
    let mut both = Reader::new(&pubsub, &["a", "b"]).await;
    pubsub.clone().broadcast("a", 1).unwrap();
    pubsub.broadcast("b", 2).unwrap();
    pubsub.broadcast("c", 3).unwrap();
    pubsub.broadcast("", 4).unwrap();
    let heard = [a1.news().await, a2.news().await, b.news().await, both.news().await];
    assert_eq!(heard, [vec![1], vec![1], vec![2], vec![1, 2]]);
}

#[tokio::test]
async fn two_pubsubs_have_nothing_in_common() {
    let (one, other) = (news(), news());
    let mut reader = Reader::new(&one, &["a"]).await;
    other.broadcast("a", 1).unwrap();
    assert!(reader.news().await.is_empty());
    assert_eq!((one.subscriber_count("a"), other.subscriber_count("a")), (1, 0));
}

#[tokio::test]
async fn a_broadcast_from_a_process_leaves_out_all_its_subscriptions() {
    let pubsub = news();
    let mut sender = Reader::new(&pubsub, &["a", "a"]).await;
    let mut reader = Reader::new(&pubsub, &["a"]).await;
    pubsub.broadcast_from(sender.addr.pid(), "a", 1).unwrap();
    assert_eq!((sender.news().await, reader.news().await), (vec![], vec![1]));
    pubsub.broadcast("a", 2).unwrap();
    assert_eq!((sender.news().await, reader.news().await), (vec![2, 2], vec![2]));
}

#[tokio::test]
async fn a_duplicate_subscription_is_a_duplicate_delivery_and_each_ends_on_its_own() {
    let pubsub = news();
    let mut reader = Reader::new(&pubsub, &["a", "a", "a"]).await;
    for left in [3, 2, 1, 0] {
        assert_eq!(pubsub.subscriber_count("a"), left);
        pubsub.broadcast("a", 7).unwrap();
        assert_eq!(reader.news().await, vec![7; left]);
        if left > 0 {
            assert!(reader.addr.send(Msg::Unsubscribe).is_ok());
            reader.ping().await;
        }
    }
}

#[tokio::test]
async fn ending_one_subscription_leaves_those_of_others() {
    let pubsub = news();
    let mut readers = Vec::new();
    for _ in 0..5 {
        readers.push(Reader::new(&pubsub, &["a"]).await);
    }
    for leaver in [2, 0, 4] {
        assert!(readers[leaver].addr.send(Msg::Unsubscribe).is_ok());
        readers[leaver].ping().await;
    }
    readers.push(Reader::new(&pubsub, &["a"]).await);
    pubsub.broadcast("a", 1).unwrap();
    let mut heard = Vec::new();
    for reader in &mut readers {
        heard.push(reader.news().await.len());
    }
    assert_eq!(heard, [0, 1, 0, 1, 0, 1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscription_ends_with_its_process_before_the_news_of_its_end() {
    for kill in [true, false].repeat(50) {
        let pubsub = news();
        let reader = Reader::new(&pubsub, &["a"]).await;
        let (pid, at) = (reader.addr.pid(), pubsub.clone());
        let (tell, told) = oneshot::channel();
        let (ready, is_ready) = oneshot::channel();
        spawn(move |mut ctx: Context<()>| async move {
            ctx.monitor(pid);
            ready.send(()).unwrap();
            assert!(matches!(ctx.receive().await, Received::Info(Info::Down(_))));
            tell.send(at.subscriber_count("a")).unwrap();
        });
        is_ready.await.unwrap();
        if kill {
            process::kill(pid);
        } else {
            process::exit(pid, ExitReason::custom("boom"));
        }
        assert_eq!(within("the news", told).await.unwrap(), 0);
        pubsub.broadcast("a", 1).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_of_each_sender_arrive_in_the_order_of_sending() {
    const EACH: u32 = 1_000;
    let pubsub = news();
    let mut readers = [Reader::new(&pubsub, &["a"]).await, Reader::new(&pubsub, &["a"]).await];
    let senders: Vec<Addr<()>> = (0..4)
        .map(|sender| {
            let at = pubsub.clone();
            spawn(move |_ctx| async move {
                for n in 0..EACH {
                    at.broadcast("a", sender * EACH + n).unwrap();
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    for sender in &senders {
        assert_eq!(within("a sender's end", sender.wait()).await, ExitReason::Normal);
    }
    for reader in &mut readers {
        let mut next = [0; 4];
        for news in reader.news().await {
            let (sender, n) = ((news / EACH) as usize, news % EACH);
            assert_eq!(n, next[sender], "of sender {sender}");
            next[sender] += 1;
        }
        assert_eq!(next, [EACH; 4]);
    }
}

#[tokio::test]
async fn a_subscriber_with_a_full_mailbox_does_not_hold_up_the_others() {
    let pubsub = news();
    let at = pubsub.clone();
    let (ready, is_ready) = oneshot::channel();
    let stuck = SpawnOptions::new().mailbox_limit(1).spawn(move |ctx: Context<u32>| async move {
        let _subscription = at.subscribe_mailbox(&ctx, "a", |news| news);
        ready.send(()).unwrap();
        std::future::pending::<()>().await;
    });
    is_ready.await.unwrap();
    let mut reader = Reader::new(&pubsub, &["a"]).await;
    (0..10).for_each(|n| pubsub.broadcast("a", n).unwrap());
    assert_eq!(reader.news().await, (0..10).collect::<Vec<_>>());
    assert_eq!(stuck.mailbox_len(), 1);
    process::kill(stuck.pid());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn subscriptions_that_come_and_go_during_broadcasts_leave_nothing_behind() {
    let pubsub = news();
    let mut constant = Reader::new(&pubsub, &["a"]).await;
    let at = pubsub.clone();
    let sender = spawn(move |_ctx: Context<()>| async move {
        for n in 0..2_000 {
            at.broadcast("a", n).unwrap();
            tokio::task::yield_now().await;
        }
    });
    let mut passing = Vec::new();
    for n in 0..200 {
        let reader = Reader::new(&pubsub, &["a", "a"]).await;
        if n % 2 == 0 {
            assert!(reader.addr.send(Msg::Unsubscribe).is_ok());
            passing.push(reader);
        } else {
            reader.end().await;
        }
    }
    within("the sender's end", sender.wait()).await;
    for reader in &passing {
        reader.end().await;
    }
    assert_eq!(constant.news().await, (0..2_000).collect::<Vec<_>>(), "it missed nothing");
    assert_eq!(pubsub.subscriber_count("a"), 1);
}

/// Counts its calls and notes what each was given.
#[derive(Clone, Default)]
struct Counting {
    calls: Arc<Mutex<Vec<Call>>>,
}

/// The message, and the subscribers that it was for.
type Call = (u32, Vec<&'static str>);

impl Dispatcher for Counting {
    type Message = u32;
    type Subscriber = &'static str;

    fn dispatch(&self, entries: &mut dyn Iterator<Item = &Entry<&'static str>>, message: &u32) {
        self.calls
            .lock()
            .expect("no panic before")
            .push((*message, entries.map(|entry| entry.subscriber).collect()));
    }
}

#[tokio::test]
async fn a_dispatcher_is_called_once_for_a_broadcast_whatever_the_number_of_subscribers() {
    let dispatcher = Counting::default();
    let pubsub = PubSub::new(dispatcher.clone());
    let (one, other) = (some_pid().await, some_pid().await);
    let _kept = [pubsub.subscribe(one, "a", "x"), pubsub.subscribe(other, "a", "y")];
    drop(pubsub.subscribe(other, "a", "gone"));
    pubsub.broadcast("a", 1).unwrap();
    pubsub.broadcast_from(one, "a", 2).unwrap();
    pubsub.broadcast("nobody", 3).unwrap();
    assert_eq!(*dispatcher.calls.lock().unwrap(), [(1, vec!["x", "y"]), (2, vec!["y"])]);
}

/// Subscribes and unsubscribes, on the topic that it dispatches and on others, and broadcasts once more.
#[derive(Clone, Default)]
struct Restless {
    at: Arc<OnceLock<PubSub<Self>>>,
    seen: Arc<AtomicUsize>,
    first: Arc<Mutex<Option<Subscription>>>,
}

impl Dispatcher for Restless {
    type Message = u32;
    type Subscriber = ();

    fn dispatch(&self, entries: &mut dyn Iterator<Item = &Entry<()>>, message: &u32) {
        let at = self.at.get().expect("the test set it");
        let mut kept = Vec::new();
        for entry in entries {
            self.seen.fetch_add(1, Ordering::SeqCst);
            drop(at.subscribe(entry.pid, "a", ()));
            kept.push(at.subscribe(entry.pid, "a", ()));
            drop(at.subscribe(entry.pid, "b", ()));
        }
        drop(kept);
        drop(self.first.lock().expect("no panic before").take());
        if *message > 0 {
            at.broadcast("a", message - 1).expect("one node alone");
        }
    }
}

#[test]
fn a_dispatcher_may_subscribe_unsubscribe_and_broadcast_while_it_dispatches() {
    let (done, is_done) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let pid = runtime.block_on(some_pid());
        let dispatcher = Restless::default();
        let pubsub = PubSub::new(dispatcher.clone());
        assert!(dispatcher.at.set(pubsub.clone()).is_ok());
        *dispatcher.first.lock().unwrap() = Some(pubsub.subscribe(pid, "a", ()));
        let _second = pubsub.subscribe(pid, "a", ());
        pubsub.broadcast("a", 2).unwrap();
        let seen = dispatcher.seen.load(Ordering::SeqCst);
        done.send((seen, pubsub.subscriber_count("a"), pubsub.subscriber_count("b"))).unwrap();
    });
    let seen = is_done.recv_timeout(crate::support::PATIENCE).expect("no deadlock");
    assert_eq!(seen, (2 + 1 + 1, 1, 0), "a broadcast sees the subscribers of the moment it began");
}

async fn some_pid() -> Pid {
    let ended = spawn(|_ctx: Context<()>| async {});
    ended.wait().await;
    ended.pid()
}

#[tokio::test]
async fn a_wrap_that_panics_ends_its_subscriber_and_not_the_broadcaster() {
    let pubsub = PubSub::new(Mailboxes::<u8>::new());
    let at = pubsub.clone();
    let (ready, is_ready) = oneshot::channel();
    let subscriber = spawn(move |mut ctx: Context<u8>| async move {
        let wrap = |n: u8| n.checked_add(250).expect("a small number");
        let _subscription = at.subscribe_mailbox(&ctx, "a", wrap);
        ready.send(()).unwrap();
        loop {
            ctx.receive().await;
        }
    });
    is_ready.await.unwrap();
    let broadcaster = spawn(move |_: Context<()>| async move {
        pubsub.broadcast("a", 1).unwrap();
        pubsub.broadcast("a", 9).unwrap();
    });
    assert_eq!(within("the broadcaster", broadcaster.wait()).await, ExitReason::Normal);
    match within("the subscriber", subscriber.wait()).await {
        ExitReason::Panic(report) => assert_eq!(report.message, "a small number"),
        other => panic!("{other}"),
    }
}
