//! Sessions before a committer that works when the test lets it.

use std::{
    net::{IpAddr, Ipv4Addr},
    path::Path,
    pin::Pin,
    task::{Context, Waker},
    time::Duration,
};

use hongyan_proto::{CloseCode, wire::hello::Credential};

use super::*;
use crate::{
    base::environment::{Now, System},
    committer::Committer,
    config::Config,
    host::{
        assemble::{Assembled, assemble},
        open,
    },
    log::Log,
    ops::{desk::Desk, id::AcceptNo},
    session::{gate::Rejection, login::LoggedIn},
    sim,
    store::memory::MemoryEngine,
};

struct Rig {
    service: Arc<Service>,
    desk: Arc<Desk>,
    committer: Committer,
}

impl Rig {
    async fn new() -> Self {
        let log = Log::new(Arc::new(MemoryEngine::new()));
        open::prepare(&log, Path::new("memory"), 7).await.unwrap();
        let assembled = assemble(&Config::default(), log, sim::gate(), Box::new(System)).await.unwrap();
        let Assembled { service, desk, committer } = assembled;
        Self { service, desk, committer }
    }

    /// The committer works on all that has been handed over, `after` now.
    async fn work(&mut self, after: Duration) {
        let now = Now::by(self.service.environment());
        self.committer.process(self.desk.queue().take().unwrap(), Now { instant: now.instant + after, ..now }).await;
    }

    /// A login that has been handed over.
    fn begin_login(&self, uid: &str, accepted: AcceptNo) -> Pin<Box<dyn Future<Output = Result<LoggedIn, Rejection>>>> {
        let (service, credential) = (self.service.clone(), Some(Credential::Token(sim::token(uid))));
        let hello = wire::Hello { device: "phone".into(), device_epoch: 1, credential, ..Default::default() };
        let mut login = Box::pin(async move {
            let attempt = service.attempt(IpAddr::V4(Ipv4Addr::LOCALHOST), accepted);
            service.hello(hello, &attempt).await
        });
        assert!(login.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        login
    }

    async fn log_in(&mut self, uid: &str, accepted: AcceptNo) -> Session {
        let login = self.begin_login(uid, accepted);
        self.work(Duration::ZERO).await;
        let login = login.await.unwrap();
        Session::new(self.service.clone(), &login)
    }
}

#[tokio::test]
async fn the_last_ack_of_a_device_counts_though_an_older_connection_logs_in_before_it_is_noted() {
    let mut rig = Rig::new().await;
    let (older, newer) = (rig.desk.accept(), rig.desk.accept());
    let (alice, bob) = (rig.log_in("alice", newer).await, rig.log_in("bob", newer).await);
    let content = "hello".into();
    alice.submit(wire::Send { send_no: 1, to: "bob".into(), content, ..Default::default() });
    rig.work(Duration::ZERO).await;
    let (user, device) = (bob.channel().id.user, bob.channel().id.device);
    let late = rig.begin_login("bob", older);
    bob.acked(1);
    drop(bob);
    rig.work(Duration::ZERO).await;
    assert!(matches!(late.await, Err(Rejection { code: CloseCode::REPLACED, .. })));
    assert!(!rig.service.sessions().is_live(user, device), "it has left");
    rig.work(Duration::from_secs(10)).await;
    assert_eq!(alice.channel().head(), 2, "its author has the receipt");
}

#[tokio::test]
async fn who_hangs_up_between_a_login_and_its_answer_has_left() {
    let mut rig = Rig::new().await;
    let accepted = rig.desk.accept();
    for is_answered in [false, true] {
        let login = rig.begin_login("alice", accepted);
        if is_answered {
            rig.work(Duration::ZERO).await;
            assert_eq!(rig.service.sessions().len(), 1);
        }
        drop(login);
        // One that is answered to nobody is handed back as one that has left.
        rig.work(Duration::ZERO).await;
        rig.work(Duration::ZERO).await;
        assert!(rig.service.sessions().is_empty(), "answered: {is_answered}");
    }
    let session = rig.log_in("alice", accepted).await;
    rig.work(Duration::ZERO).await;
    assert_eq!(rig.service.sessions().len(), 1, "who has the answer stays");
    drop(session);
}
