//! Running a committer: sleeping until there is something to do, and handing it over.

use std::{
    future::{Future, pending, poll_fn},
    pin::{Pin, pin},
    task::Poll,
    time::Instant,
};

use super::{gathering::Gathering, queue::CommitQueue, state::Committer};
use crate::base::environment::{Environment, Now, Timer};

/// Runs a committer until its queue is closed. True: everything is on stable storage.
pub async fn run(
    mut committer: Committer,
    queue: &CommitQueue,
    environment: &dyn Environment,
    mut timer: Pin<&mut impl Timer>,
) -> bool {
    // What has expired while the server was not running.
    committer.process(Vec::new(), Now::by(environment)).await;
    let mut gathering = Gathering::new(committer.settings.gather);
    loop {
        // Asleep through it: nobody rings for what comes meanwhile.
        if let Some(until) = gathering.poll_timeout(environment.now()) {
            wait(pending(), Some(until), timer.as_mut()).await;
            gathering.on_waited(queue.urgent_len());
        }
        let due = committer.due.poll_timeout();
        wait(queue.filled(), due, timer.as_mut()).await;
        let patience = environment.now() + committer.due.patience();
        wait(queue.urgent(), Some(due.map_or(patience, |due| due.min(patience))), timer.as_mut()).await;
        if queue.urgent_len() > 0 {
            gathering.on_begun(environment.now());
        }
        let Some(ops) = queue.take() else { break };
        committer.process(ops, Now::by(environment)).await;
    }
    committer.finish(Now::by(environment)).await
}

/// Waits for `event`, at the longest until `due`.
async fn wait(event: impl Future<Output = ()>, due: Option<Instant>, mut timer: Pin<&mut impl Timer>) {
    let mut event = pin!(event);
    poll_fn(|context| match (event.as_mut().poll(context), due) {
        (Poll::Pending, Some(due)) => timer.as_mut().poll_at(due, context),
        (ready, _) => ready,
    })
    .await;
}
