//! Acts: what people do besides writing. Each is looked at first, with whatever it needs from the log, and refused or
//! done in one go, so that nothing half-done is ever in the batch.

use hongyan_proto::{
    ConversationId,
    wire::{NackCode, act::What},
};

use crate::{
    base::{environment::Now, number::UserNo},
    committer::{
        plan::{Done, Ruled, refused},
        rules::place::Destination,
        state::Committer,
    },
};

impl Committer {
    /// Does what a user asks for, or says why not.
    pub async fn perform(&mut self, user: UserNo, to: Option<&ConversationId>, what: What, now: Now) -> Ruled<Done> {
        match what {
            What::GroupCreate(create) => return self.group_create(user, create, now).await,
            What::Forward(forward) => return self.forward(user, to, forward, now).await,
            What::Privacy(privacy) => return self.set_privacy(user, &privacy, now).await,
            _ => {}
        }
        let Some(to) = to else {
            return refused(NackCode::NackInvalid, "to: this act needs a user or a group");
        };
        match what {
            What::Contact(act) => return self.contact_act(user, to, act.what(), now).await,
            What::GroupJoin(join) => return self.group_join(user, to, join, now).await,
            _ => {}
        }
        let destination = self.destination_of_act(user, to, &what, now).await?;
        // Acts make no conversation, but for a draft: that may be there before anything is written.
        let no = self.arrive(user, destination, now);
        match what {
            What::Read(read) => self.read(user, no, read.cseq, now).await,
            What::Arrange(arrange) => self.arrange(user, no, arrange, now).await,
            What::Edit(edit) => self.edit(user, no, edit, now).await,
            What::Recall(recall) => self.recall(user, no, recall.cseq, now).await,
            What::React(react) => self.react(user, no, react, now).await,
            What::Pin(pin) => self.pin(user, no, pin, now).await,
            What::Disappear(disappear) => self.disappear(user, no, disappear, now).await,
            what if !matches!(to, ConversationId::Group(_)) => {
                drop(what);
                refused(NackCode::NackInvalid, "to: this act needs a group")
            }
            What::GroupUpdate(update) => self.group_update(user, no, update, now).await,
            What::GroupInvite(invite) => self.group_invite(user, no, invite, now).await,
            What::GroupLeave(_) => self.group_leave(user, no, now).await,
            What::GroupRemove(remove) => self.group_remove(user, no, remove, now).await,
            What::GroupUnban(unban) => self.group_unban(user, no, unban, now).await,
            What::GroupRole(role) => self.group_role(user, no, role, now).await,
            What::GroupTransfer(transfer) => self.group_transfer(user, no, transfer, now).await,
            What::GroupDissolve(_) => self.group_dissolve(user, no, now).await,
            What::GroupAdmit(admit) => self.group_admit(user, no, admit, now).await,
            What::GroupLink(link) => self.group_link(user, no, link.revoke, now).await,
            _ => refused(NackCode::NackInvalid, "act: this server does not know it, or does it by itself"),
        }
    }

    async fn destination_of_act(
        &mut self,
        user: UserNo,
        to: &ConversationId,
        what: &What,
        now: Now,
    ) -> Ruled<Destination> {
        match (to, what) {
            (ConversationId::User(_), What::Arrange(_)) => self.destination(user, to, now).await,
            (ConversationId::Group(_), what) if !matches!(what, What::Read(_) | What::Arrange(_)) => {
                self.destination(user, to, now).await
            }
            // What somebody was a member of stays in their list.
            _ => {
                let Some(no) = self.known_conversation(user, &to.to_string(), now).await? else {
                    return refused(NackCode::NackNotFound, "there is no such conversation");
                };
                Ok(Destination::There(no))
            }
        }
    }
}
