//! The other side of the seam, as these tests have it: channels, and who waits for an answer.

use futures_util::FutureExt;

use super::*;
use crate::{
    auth::resume::{ResumeToken, TokenHash},
    live::apply::apply,
    ops::{
        answer::{AccountError, Answer},
        desk::{Asked, Desk},
        effect::Outlet,
        op::{AccountAction, AccountChange},
    },
};

pub struct Front {
    pub sessions: Arc<Sessions>,
    pub desk: Arc<Desk>,
}

impl Front {
    pub fn new() -> Self {
        Self { sessions: Arc::default(), desk: Arc::new(Desk::new(usize::MAX)) }
    }

    pub fn outlet(&self) -> Outlet {
        let (sessions, desk) = (self.sessions.clone(), self.desk.clone());
        Box::new(move |effect| apply(effect, &sessions, &desk))
    }

    /// Processes what `make` makes of an id, and takes its answer, which comes with the batch.
    pub async fn ask(&self, committer: &mut Committer, now: Now, make: impl FnOnce(OpId) -> Op) -> Answer {
        let asked: Asked<'_> = self.desk.ask(make).unwrap();
        committer.process(self.desk.queue().take().unwrap(), now).await;
        asked.now_or_never().expect("an operation is answered with its batch")
    }

    pub async fn log_in(
        &self,
        committer: &mut Committer,
        now: Now,
        who: Who,
        next_secret: [u8; 32],
    ) -> Result<LoggedIn, LoginError> {
        let (next_hash, accepted) = (TokenHash::of(&next_secret).to_bytes(), self.desk.accept());
        let login = |op| Op::Login(Box::new(Login { op, who, next_hash, accepted }));
        let Answer::LoggedIn(bound) = self.ask(committer, now, login).await else {
            panic!("that is no login's answer")
        };
        let Bound { uid, channel: id, head, cursor, last_send_no, reset } = *bound?;
        let channel = self.sessions.channel(id).unwrap();
        let resume_token = ResumeToken::new(id.user.0.into(), id.device.0.into(), next_secret).encode().into();
        Ok(LoggedIn { uid, channel, resume_token, head, cursor, last_send_no, reset })
    }

    pub async fn change(
        &self,
        committer: &mut Committer,
        now: Now,
        uid: &str,
        action: AccountAction,
    ) -> Result<(), AccountError> {
        let uid = Uid::new(uid).unwrap();
        let change = |op| Op::Account(Box::new(AccountChange { op, uid, action }));
        let Answer::Changed(changed) = self.ask(committer, now, change).await else { panic!("that is no change") };
        changed
    }
}
