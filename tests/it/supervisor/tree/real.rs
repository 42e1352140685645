//! A real tree that is described as the model's, and whose workers tell what they do.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use heronry::prelude::*;
use heronry::process;
use heronry::supervisor::{ChildError, ChildKind, SupervisorRef};

use super::model::{Answer, Event};
use super::plan::{Branch, Manner, ROOT, Spec, Way, What};

/// What the processes of one tree share.
#[derive(Clone, Default)]
pub(crate) struct Grove(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    journal: Vec<Event>,
    workers: HashMap<u32, Vec<Addr<Way>>>,
    starts_to_fail: HashMap<u32, u32>,
    supervisors: HashMap<u32, SupervisorRef>,
}

/// A worker's life; its end is noted when the worker is dropped.
struct Diary {
    grove: Grove,
    id: u32,
    life: u32,
    knows: bool,
}

impl Drop for Diary {
    fn drop(&mut self) {
        let note = if self.knows { Event::Ends } else { Event::Cut };
        self.grove.inner().journal.push(note(self.id, self.life));
    }
}

async fn worker(mut ctx: Context<Way>, manner: Manner, mut diary: Diary) -> ExitReason {
    loop {
        match ctx.receive().await {
            Received::Message(way) => {
                diary.knows = true;
                return way.reason().unwrap_or_else(|| panic!("{} panics", diary.id));
            }
            Received::Info(Info::Exit(exit))
                if Some(exit.from) == ctx.parent() && manner == Manner::Polite =>
            {
                diary.knows = true;
                return exit.reason;
            }
            Received::Info(_) => {}
        }
    }
}

impl Grove {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().expect("nobody panics with it")
    }

    pub(crate) async fn start(&self, root: &Branch) -> SupervisorRef {
        let root = self.describe(root).start().await.expect("no start fails yet");
        self.inner().supervisors.insert(ROOT, root.clone());
        root
    }

    fn describe(&self, branch: &Branch) -> Supervisor {
        let supervisor = Supervisor::new(branch.strategy).intensity(branch.intensity, branch.period());
        branch.children.iter().fold(supervisor, |supervisor, spec| supervisor.child(self.child(spec)))
    }

    pub(crate) fn child(&self, spec: &Spec) -> ChildSpec {
        let (grove, id) = (self.clone(), spec.id);
        let child = match spec.what.clone() {
            What::Worker(manner) => ChildSpec::new(id.to_string(), move |spawner| {
                std::future::ready(grove.start_worker(id, manner, spawner))
            }),
            What::Supervisor(branch) => ChildSpec::new(id.to_string(), move |spawner| {
                let (grove, described) = (grove.clone(), grove.describe(&branch));
                async move {
                    let supervisor = described.start_child(spawner).await?;
                    let pid = supervisor.pid();
                    grove.inner().supervisors.insert(id, supervisor);
                    Ok(pid)
                }
            })
            .kind(ChildKind::Supervisor),
        };
        child.restart(spec.restart).shutdown(spec.shutdown)
    }

    fn start_worker(
        &self,
        id: u32,
        manner: Manner,
        spawner: heronry::supervisor::Spawner,
    ) -> Result<Pid, StartError> {
        let life = {
            let mut inner = self.inner();
            if let Some(left) = inner.starts_to_fail.get_mut(&id).filter(|left| **left > 0) {
                *left -= 1;
                inner.journal.push(Event::Fails(id));
                return Err(StartError::Init(ExitReason::custom("no luck")));
            }
            let life = inner.workers.get(&id).map_or(0, Vec::len) as u32 + 1;
            inner.journal.push(Event::Starts(id, life));
            life
        };
        let diary = Diary { grove: self.clone(), id, life, knows: false };
        let spawner = spawner.options(|options| options.trap_exit(manner != Manner::Plain));
        let addr = spawner.spawn(move |ctx| worker(ctx, manner, diary))?;
        let pid = addr.pid();
        self.inner().workers.entry(id).or_default().push(addr);
        Ok(pid)
    }

    pub(crate) fn news(&self) -> Vec<Event> {
        std::mem::take(&mut self.inner().journal)
    }

    pub(crate) fn fail_starts(&self, worker: u32, times: u32) {
        self.inner().starts_to_fail.insert(worker, times);
    }

    /// A worker in this life.
    pub(crate) fn worker(&self, id: u32, life: u32) -> Addr<Way> {
        self.inner().workers[&id][life as usize - 1].clone()
    }

    /// The last life of a supervisor.
    pub(crate) fn supervisor(&self, id: u32) -> SupervisorRef {
        self.inner().supervisors[&id].clone()
    }

    /// Ends what is left, the stubborn whose supervisor was killed.
    pub(crate) fn clear(&self) {
        let workers: Vec<_> = self.inner().workers.values().flatten().map(Addr::pid).collect();
        for pid in workers {
            process::kill(pid);
        }
    }
}

/// What a request was answered, in the model's words.
pub(crate) fn answer<T>(result: Result<T, ChildError>) -> Answer {
    match result {
        Ok(_) => Answer::Done,
        Err(ChildError::AlreadyStarted(_) | ChildError::Running(_)) => Answer::Runs,
        Err(ChildError::AlreadyPresent) => Answer::Present,
        Err(ChildError::Start(..)) => Answer::NotStarted,
        Err(other) => panic!("no operation asks for what could be answered {other}"),
    }
}
