//! Forwarding: what somebody can see in one conversation, posted in another in their name.

use hongyan_proto::{
    ConversationId,
    wire::{self, NackCode},
};

use crate::{
    base::{environment::Now, number::UserNo},
    committer::{
        plan::{Done, Ruled, announced, refused},
        rules::publish::Publication,
        state::Committer,
    },
    log::Of,
};

impl Committer {
    /// A copy of a message that the sender can see, posted in their name.
    pub async fn forward(
        &mut self,
        user: UserNo,
        to: Option<&ConversationId>,
        forward: wire::Forward,
        now: Now,
    ) -> Ruled<Done> {
        let destination = self.place_to_post(user, to, None, now).await?;
        let Some(source) = self.known_conversation(user, &forward.conversation, now).await? else {
            return refused(NackCode::NackNotFound, "there is no such conversation to forward from");
        };
        let source = self.message_seen_by(user, source, forward.cseq, now).await?;
        let forwarded_from = source.extras.map(|extras| extras.forwarded_from).filter(|from| !from.is_empty());
        let forwarded_from = forwarded_from.unwrap_or(source.from);
        let extras = Some(Box::new(wire::Extras { forwarded_from, ..Default::default() }));
        let no = self.arrive(user, destination, now);
        let (cseq, item) = self.write(user, no, source.content, extras, now);
        let time_ms = now.unix_ms;
        self.distribute(Publication {
            no,
            cseq,
            author: user,
            origin: None,
            of: Of::Message,
            time_ms,
            item,
            by_reader: false,
        });
        self.is_urgent = true;
        announced(cseq)
    }
}
