//! The engines that ride on a broker, on real brokers that are killed and stopped: NATS in two versions, Redis.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use heronry::engine::nats::{Nats, NatsError, NatsOptions};
use heronry::engine::redis::{Redis, RedisError, RedisOptions};
use heronry::engine::{Engine, Event, FramesDropped, Lane, LinkDown, LinkUp, Safeguard, Subject};
use heronry::node::{ClusterName, NodeId};
use heronry::testing::{TelemetryTest, assert_receive};
use tests::conformance::engine::{Broker, Lab, Node, faults, frames, node};
use tests::{BrokerProcess, find_nats_servers, find_redis_server};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;

use super::Outcome;

/// Which engine a lab makes.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Nats,
    Redis,
}

struct BrokerLab {
    kind: Kind,
    process: Mutex<BrokerProcess>,
    url: String,
}

fn cluster() -> ClusterName {
    ClusterName::parse("test").expect("a name")
}

fn nats_servers() -> Vec<PathBuf> {
    let servers = find_nats_servers();
    assert_eq!(
        servers.len(),
        2,
        "tests/run installs Debian's nats-server and a newer one; found {servers:?}"
    );
    servers
}

fn redis_server() -> PathBuf {
    find_redis_server().expect("tests/run installs redis-server")
}

impl BrokerLab {
    async fn start(kind: Kind, program: PathBuf) -> Outcome<Self> {
        let (process, scheme) = match kind {
            Kind::Nats => (BrokerProcess::nats(&program, &[]).await?, "nats"),
            Kind::Redis => (BrokerProcess::redis(&program, &[]).await?, "redis"),
        };
        let url = format!("{scheme}://{}", process.addr());
        Ok(Self { kind, process: Mutex::new(process), url })
    }

    /// One of each broker.
    async fn each() -> Outcome<Vec<Self>> {
        let mut labs = Vec::new();
        for program in nats_servers() {
            labs.push(Self::start(Kind::Nats, program).await?);
        }
        labs.push(Self::start(Kind::Redis, redis_server()).await?);
        Ok(labs)
    }

    async fn of(&self, cluster: ClusterName, node: NodeId) -> Arc<dyn Engine> {
        match self.kind {
            Kind::Nats => Arc::new(
                Nats::connect(NatsOptions::new(&self.url, cluster, node)).await.expect("it connects"),
            ),
            Kind::Redis => Arc::new(
                Redis::connect(RedisOptions::new(&self.url, cluster, node)).await.expect("it connects"),
            ),
        }
    }
}

impl Lab for BrokerLab {
    async fn engine(&self, node: NodeId) -> Arc<dyn Engine> {
        self.of(cluster(), node).await
    }
}

impl Broker for BrokerLab {
    async fn kill(&self) {
        self.process.lock().await.kill_9().expect("it runs");
    }

    async fn start(&self) {
        self.process.lock().await.restart().await.expect("it starts again");
    }

    fn pause(&self) {
        self.process.try_lock().expect("nobody else is at it").pause().expect("it runs");
    }

    fn resume(&self) {
        self.process.try_lock().expect("nobody else is at it").resume().expect("it is there");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn engines_on_brokers_are_engines() -> Outcome {
    for lab in BrokerLab::each().await? {
        frames::all(&lab).await;
        let mut dropped = TelemetryTest::attach(|event: &FramesDropped| event.count);
        frames::a_slow_receiver_loses_frames_and_hears_of_a_gap(&lab).await;
        assert_receive!(dropped, count if count > 0);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn engines_come_back_after_a_killed_broker() -> Outcome {
    for lab in BrokerLab::each().await? {
        let mut down = TelemetryTest::attach(|event: &LinkDown| event.reason.clone());
        let mut up = TelemetryTest::attach(|event: &LinkUp| event.lane);
        faults::a_killed_broker_is_noticed_and_found_again(&lab, &lab).await;
        assert_receive!(down, reason if !reason.is_empty());
        assert_receive!(up, _);
        faults::what_a_dead_broker_did_not_take_is_not_sent_to_the_next(&lab, &lab).await;
        faults::an_engine_stops_without_its_broker(&lab, &lab).await;
        faults::an_engine_stops_in_time_although_its_broker_stands_still(&lab, &lab).await;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn engines_come_back_after_a_stopped_broker() -> Outcome {
    for lab in BrokerLab::each().await? {
        faults::a_stopped_broker_is_noticed_and_found_again(&lab, &lab, true).await;
    }
    Ok(())
}

/// What somebody writes to a broker who is no node: another cluster, subjects that are none, headers, bytes that are no text.
#[tokio::test(flavor = "multi_thread")]
async fn strangers_on_the_broker_do_no_harm() -> Outcome {
    for lab in BrokerLab::each().await? {
        let (a, b) = (Node::start(&lab, node("a", 1)).await, Node::start(&lab, node("b", 1)).await);
        let inbox = Subject::Inbox(b.engine.node().clone(), Lane::Data);
        b.hears(&inbox, &a).await;
        let other = lab.of(ClusterName::parse("other")?, node("a", 1)).await;
        other.publish(&inbox, "of another cluster".into())?;

        let mut stranger = TcpStream::connect(lab.process.lock().await.addr()).await?;
        let subject = "hr1.test.n.b-0000000000000001.data";
        let (script, expect): (Vec<u8>, &[&str]) = match lab.kind {
            Kind::Nats => {
                let plain = "CONNECT {\"verbose\":false,\"headers\":true}\r\nPUB hr1.test.ps.1024 1\r\nx\r\n";
                let headed =
                    format!("HPUB {subject} reply.to 24 28\r\nNATS/1.0\r\nA: b\r\nC: d\r\n\r\nbody\r\n");
                let rest = format!("PUB {subject} 3\r\nabc\r\nPUB hr1.test.hb 2\r\n\u{e9}\r\nPING\r\n");
                (format!("{plain}{headed}{rest}").into_bytes(), &["body", "abc"])
            }
            Kind::Redis => {
                let text = format!("PUBLISH hr1.test.ps.1024 x\r\nPUBLISH {subject} abc\r\nPING\r\n");
                (text.into_bytes(), &["abc"])
            }
        };
        stranger.write_all(&script).await?;
        let mut answer = String::new();
        while !answer.contains("PONG") {
            let mut some = [0; 4_096];
            let read = stranger.read(&mut some).await?;
            assert!(read > 0, "the broker hung up: {answer}");
            answer.push_str(&String::from_utf8_lossy(&some[..read]));
        }
        b.told.until("what is on its subject", |told| told.frames(&inbox).len() == expect.len()).await;
        assert_eq!(b.told.frames(&inbox), expect, "and nothing of another cluster");
        b.hears(&inbox, &a).await;
    }
    Ok(())
}

#[tokio::test]
async fn nats_says_why_it_does_not_connect() -> Outcome {
    let connect = |options: fn(NatsOptions) -> NatsOptions, url: String| async move {
        Nats::connect(options(NatsOptions::new(url, cluster(), node("a", 1)))).await.expect_err("it can't")
    };
    for program in nats_servers() {
        let broker = BrokerProcess::nats(&program, &["--user", "ada", "--pass", "secret"]).await?;
        let url = format!("nats://{}", broker.addr());
        let error = connect(|options| options, url.clone()).await;
        assert!(matches!(error, NatsError::Refused { .. }), "{error:?}");
        let error = connect(|options| options.user_and_password("ada", "wrong-secret"), url.clone()).await;
        assert!(matches!(error, NatsError::Refused { .. }), "{error:?}");
        assert!(!format!("{error} {error:?}").contains("secret"));
        let right = NatsOptions::new(url, cluster(), node("a", 1)).user_and_password("ada", "secret");
        assert!(!format!("{right:?}").contains("secret"));
        Nats::connect(right).await?;
        let in_url = format!("nats://ada:secret@{}", broker.addr());
        let second = NatsOptions::new("nats://127.0.0.1:1", cluster(), node("a", 1)).server(in_url);
        Nats::connect(second).await?;

        let broker = BrokerProcess::nats(&program, &["--auth", "token"]).await?;
        let options = NatsOptions::new(format!("nats://{}", broker.addr()), cluster(), node("a", 1));
        Nats::connect(options.token("token")).await?;
        Nats::connect(NatsOptions::new(format!("nats://t%6Fken@{}", broker.addr()), cluster(), node("a", 1)))
            .await?;
    }
    let error = connect(|options| options, "nats://127.0.0.1:1".to_owned()).await;
    assert!(matches!(error, NatsError::Unreachable { .. }), "{error:?}");
    let error =
        connect(|options| options.credentials_file("/nowhere"), "nats://127.0.0.1:1".to_owned()).await;
    assert!(matches!(error, NatsError::Credentials { .. }), "{error:?}");
    let silent = TcpListener::bind("127.0.0.1:0").await?;
    let error = connect(|options| options, format!("nats://{}", silent.local_addr()?)).await;
    assert!(matches!(error, NatsError::Timeout { .. }), "{error:?}");
    for url in ["", "nats://", "http://127.0.0.1", "ws://127.0.0.1", "nats://127.0.0.1:99999", "\0"] {
        let error = connect(|options| options, url.to_owned()).await;
        assert!(matches!(error, NatsError::Url { index: 0, .. }), "{url}: {error:?}");
    }
    for (url, lacks) in [("nats://u:p@10.0.0.1", Safeguard::Tls), ("tls://10.0.0.1", Safeguard::Credentials)]
    {
        let error = connect(|options| options, url.to_owned()).await;
        assert!(matches!(&error, NatsError::Insecure { missing, .. } if *missing == lacks), "{error:?}");
    }
    Ok(())
}

#[tokio::test]
async fn redis_says_why_it_does_not_connect() -> Outcome {
    let connect = |options: fn(RedisOptions) -> RedisOptions, url: String| async move {
        Redis::connect(options(RedisOptions::new(url, cluster(), node("a", 1)))).await.expect_err("it can't")
    };
    let broker = BrokerProcess::redis(&redis_server(), &["--requirepass", "secret"]).await?;
    let url = format!("redis://{}", broker.addr());
    let error = connect(|options| options, url.clone()).await;
    assert!(matches!(error, RedisError::Refused { .. }), "{error:?}");
    let error = connect(|options| options.password("wrong-secret"), url.clone()).await;
    assert!(matches!(error, RedisError::Refused { .. }), "{error:?}");
    assert!(!format!("{error} {error:?}").contains("secret"));
    let right = RedisOptions::new(url, cluster(), node("a", 1)).password("secret");
    assert!(!format!("{right:?}").contains("secret"));
    Redis::connect(right).await?;

    let error = connect(|options| options, "redis://127.0.0.1:1".to_owned()).await;
    assert!(matches!(error, RedisError::Unreachable { .. }), "{error:?}");
    let error =
        connect(|options| options.root_certificates("/nowhere"), "rediss://127.0.0.1:1".to_owned()).await;
    assert!(matches!(error, RedisError::Certificates { .. }), "{error:?}");
    let silent = TcpListener::bind("127.0.0.1:0").await?;
    let error = connect(|options| options, format!("redis://{}", silent.local_addr()?)).await;
    assert!(matches!(error, RedisError::Timeout { .. }), "{error:?}");
    for url in ["", "http://127.0.0.1", "redis://127.0.0.1:99999", "\0"] {
        let error = connect(|options| options, url.to_owned()).await;
        assert!(matches!(error, RedisError::Url { .. }), "{url}: {error:?}");
    }
    for (url, lacks) in
        [("redis://:p@10.0.0.1", Safeguard::Tls), ("rediss://10.0.0.1", Safeguard::Credentials)]
    {
        let error = connect(|options| options, url.to_owned()).await;
        assert!(matches!(&error, RedisError::Insecure { missing, .. } if *missing == lacks), "{error:?}");
    }
    Ok(())
}

#[tokio::test]
async fn links_are_encrypted_by_certificates_that_are_trusted() -> Outcome {
    let certificate = rcgen::generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()])?;
    let folder = std::env::temp_dir().join(format!("heronry-engines-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let (cert, key) = (folder.join("cert.pem"), folder.join("key.pem"));
    std::fs::write(&cert, certificate.cert.pem())?;
    std::fs::write(&key, certificate.signing_key.serialize_pem())?;
    let (cert_path, key_path) = (cert.to_string_lossy(), key.to_string_lossy());

    for program in nats_servers() {
        let args = ["--tls", "--tlscert", &cert_path, "--tlskey", &key_path];
        let broker = BrokerProcess::nats(&program, &args).await?;
        let options = NatsOptions::new(format!("tls://{}", broker.addr()), cluster(), node("a", 1));
        let error = Nats::connect(options.clone()).await.expect_err("nobody trusts it");
        assert!(matches!(error, NatsError::Unreachable { .. } | NatsError::Tls { .. }), "{error:?}");
        Nats::connect(options.root_certificates(&cert)).await?;
    }
    let args = ["--tls-port", "PORT", "--tls-cert-file", &cert_path, "--tls-key-file", &key_path];
    let args = [&args[..], &["--tls-auth-clients", "no"]].concat();
    let broker = BrokerProcess::redis(&redis_server(), &args).await?;
    let options = RedisOptions::new(format!("rediss://{}", broker.addr()), cluster(), node("a", 1));
    let error = Redis::connect(options.clone()).await.expect_err("nobody trusts it");
    assert!(matches!(error, RedisError::Unreachable { .. }), "{error:?}");
    Redis::connect(options.root_certificates(&cert)).await?;
    std::fs::remove_dir_all(folder)?;
    Ok(())
}

/// No client and no task stays behind, of an engine that was stopped or dropped, or of a link that was lost.
#[tokio::test(flavor = "multi_thread")]
async fn engines_that_are_stopped_leave_nothing_behind() -> Outcome {
    for lab in BrokerLab::each().await? {
        let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
        let before = tasks();
        for life in 0..50 {
            let engine = lab.engine(node("a", life)).await;
            engine.set_interest(&Subject::Tracker(1, 1), true);
            if life % 2 == 0 {
                drop(engine.stop(Duration::from_millis(10)));
            }
        }
        let survivor = Node::start(&lab, node("b", 1)).await;
        let with_one = tasks();
        for _ in 0..3 {
            lab.kill().await;
            lab.start().await;
            survivor.told.until("the link to be back", |told| told.has(&Event::Gap(Lane::Data))).await;
            survivor.told.until("the link to be back", |told| told.has(&Event::Gap(Lane::Control))).await;
            survivor.told.forget();
        }
        crate::support::eventually("the clients of lost links to end", || tasks() <= with_one).await;
        drop(survivor);
        crate::support::eventually("its tasks to end", || tasks() <= before).await;
    }
    Ok(())
}
