//! The one scheduler: it picks at random, by the seed, which of the tasks that could go on does so next.

use std::{
    cell::RefCell,
    future::Future,
    pin::Pin,
    rc::Rc,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    time::Instant,
};

use super::{chance::Chance, clock::Clock};

/// Whose task it is: the server's stop when its process is paused, and are gone when it dies.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    Server,
    World,
}

type Job = Pin<Box<dyn Future<Output = ()>>>;

/// Where tasks that run put new ones.
#[derive(Clone, Default)]
pub struct Spawner(Rc<RefCell<Vec<(Owner, Job)>>>);

impl Spawner {
    pub fn spawn(&self, owner: Owner, job: impl Future<Output = ()> + 'static) {
        self.0.borrow_mut().push((owner, Box::pin(job)));
    }
}

struct Task {
    owner: Owner,
    job: Job,
    bell: Arc<Bell>,
    waker: Waker,
}

/// Puts its task among those that are ready, once.
struct Bell {
    id: usize,
    rung: AtomicBool,
    ready: Arc<Mutex<Vec<usize>>>,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.rung.swap(true, Ordering::Relaxed) {
            self.ready.lock().expect("nobody panics while it holds the list").push(self.id);
        }
    }
}

pub struct Executor {
    clock: Arc<Clock>,
    chance: Chance,
    spawner: Spawner,
    tasks: Vec<Option<Task>>,
    ready: Arc<Mutex<Vec<usize>>>,
    /// Tasks of the paused server that could go on.
    held: Vec<usize>,
    is_paused: bool,
    /// Everything that was ever decided, folded into one number.
    trace: u64,
    polls: u64,
}

impl Executor {
    pub fn new(clock: Arc<Clock>, chance: Chance, spawner: Spawner) -> Self {
        Self {
            clock,
            chance,
            spawner,
            tasks: Vec::new(),
            ready: Arc::default(),
            held: Vec::new(),
            is_paused: false,
            trace: 0,
            polls: 0,
        }
    }

    /// The same for the same seed, always.
    pub fn trace(&self) -> u64 {
        self.trace
    }

    /// Runs everything that happens up to `until`, or until there were `max_polls` in all. False: it was the latter.
    pub fn run_until(&mut self, until: Instant, max_polls: u64) -> bool {
        while self.polls < max_polls {
            self.adopt();
            let next = {
                let mut ready = self.ready.lock().expect("nobody panics while it holds the list");
                if ready.is_empty() {
                    None
                } else {
                    let index = self.chance.below(ready.len());
                    Some(ready.swap_remove(index))
                }
            };
            match next {
                Some(id) => self.poll(id),
                None if !self.clock.pass(until) => return true,
                None => {}
            }
        }
        false
    }

    fn adopt(&mut self) {
        for (owner, job) in self.spawner.0.borrow_mut().drain(..) {
            let id = self.tasks.len();
            let bell = Arc::new(Bell { id, rung: AtomicBool::new(false), ready: self.ready.clone() });
            bell.wake_by_ref();
            let waker = Waker::from(bell.clone());
            self.tasks.push(Some(Task { owner, job, bell, waker }));
        }
    }

    fn poll(&mut self, id: usize) {
        let Some(task) = &mut self.tasks[id] else { return };
        if self.is_paused && task.owner == Owner::Server {
            self.held.push(id);
            return;
        }
        self.polls += 1;
        let moment = (id as u64) ^ (self.clock.passed().as_nanos() as u64).rotate_left(20);
        self.trace = (self.trace ^ moment).wrapping_mul(0x0100_0000_01B3).rotate_left(23);
        task.bell.rung.store(false, Ordering::Relaxed);
        let mut context = Context::from_waker(&task.waker);
        if let Poll::Ready(()) = task.job.as_mut().poll(&mut context) {
            self.tasks[id] = None;
        }
    }

    /// Stops the server's tasks where they are (SIGSTOP), or lets them go on.
    pub fn pause_server(&mut self, is_paused: bool) {
        self.is_paused = is_paused;
        if !is_paused {
            self.ready.lock().expect("nobody panics while it holds the list").append(&mut self.held);
        }
    }

    /// The server's process is gone, wherever it was.
    pub fn kill_server(&mut self) {
        self.adopt();
        for task in &mut self.tasks {
            if task.as_ref().is_some_and(|task| task.owner == Owner::Server) {
                *task = None;
            }
        }
        self.pause_server(false);
    }
}
