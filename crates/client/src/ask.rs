//! Questions to the server, and their answers in types.

use hongyan_proto::{
    ConversationId, Uid,
    wire::{self, Gone, Role, request::Op, response::Result as Answer, status_request::Which},
};

use crate::{
    act::Privacy,
    client::Client,
    command::Command,
    conversation::Conversation,
    entry::Entry,
    error::{ClientError, ErrorKind, reason_text},
    event::{Contact, Presence},
    group::{Group, Member},
};

/// Which part of a conversation: what has after < cseq < before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HistoryQuery {
    /// 0: no lower bound.
    pub after: u64,
    /// 0: no upper bound.
    pub before: u64,
    /// 1-200; 0 means 50.
    pub limit: u32,
    /// Oldest first from `after`; otherwise the newest below `before`. Pages are in rising order either way.
    pub forward: bool,
    /// Half of the page before this cseq, it, and half behind it; `after` and `before` do not count then. 0: not so.
    pub around: u64,
}

/// A part of a conversation's history.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HistoryPage {
    /// In rising cseq.
    pub entries: Vec<Entry>,
    /// The newest cseq of the conversation; 0: it has none.
    pub head_cseq: u64,
    /// Whether more follow in the direction that was asked for.
    pub more: bool,
    /// To messages of this page.
    pub reactions: Vec<Reactions>,
}

/// The reactions to one message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reactions {
    pub cseq: u64,
    pub counts: Vec<(String, u32)>,
    /// This user's own; empty: none.
    pub mine: String,
    /// The cseq of the newest act that is counted in.
    pub as_of_cseq: u64,
}

/// Some of this user's conversations, as the server has them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConversationsPage {
    pub conversations: Vec<Conversation>,
    /// Use as `after` for the next page; 0: that was all.
    pub next: u64,
}

/// Some members of a group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MembersPage {
    pub members: Vec<Member>,
    /// Use as `after` for the next page; 0: that was all.
    pub next: u64,
}

/// Some of this user's contacts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContactsPage {
    pub contacts: Vec<Contact>,
    /// Use as `after` for the next page; 0: that was all.
    pub next: u64,
}

/// What became of a message, as the server knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageStatus {
    /// Where it stands; None: it was refused, or stands nowhere.
    pub message: Option<(ConversationId, u64)>,
    /// When it was committed, in milliseconds since 1970.
    pub time_ms: u64,
    /// Why it was refused for good: a `NackCode` of the wire; 0: it was not.
    pub nack: i32,
    /// In groups above the fan-out threshold nobody is counted.
    pub recipients: u32,
    pub delivered: u32,
    pub read: u32,
    /// The first 100 recipients.
    pub to: Vec<RecipientStatus>,
    pub gone: Gone,
}

/// What became of a message on its way to one person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecipientStatus {
    pub uid: Uid,
    pub delivered: bool,
    pub read: bool,
    /// Devices that are live, and are about to get it or have.
    pub offered_devices: u32,
    /// Devices that have stored it.
    pub delivered_devices: u32,
    /// When that became known, in milliseconds since 1970; 0: not known.
    pub delivered_ms: u64,
    pub read_ms: u64,
}

/// What the server knows about this user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    pub uid: Uid,
    /// The number of the newest entry of the user's log.
    pub head: u64,
    pub devices: Vec<Device>,
}

/// One of this user's devices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    pub device: String,
    /// How far it has acked.
    pub cursor: u64,
    pub online: bool,
    pub ephemeral: bool,
}

/// Takes the answer of one kind, or says what came instead.
macro_rules! answer {
    ($client:expr, $op:expr, $kind:ident) => {
        match $client.request($op).await? {
            Answer::$kind(answer) => answer,
            other => return Err(unexpected(other)),
        }
    };
}

/// Every question fails with kind RequestFailed if the server refuses it, and Timeout after 30 s without an answer.
impl Client {
    /// A page of a conversation.
    pub async fn history(
        &self,
        conversation: impl Into<ConversationId>,
        query: HistoryQuery,
    ) -> Result<HistoryPage, ClientError> {
        let HistoryQuery { after, before, limit, forward, around } = query;
        let conversation = conversation.into().to_string();
        let request = wire::HistoryRequest { conversation, after, before, limit, forward, around };
        Ok(self.page(answer!(self, Op::History(request), History)))
    }

    /// Messages by their numbers, at most 100; those that cannot be seen are left out.
    pub async fn messages(
        &self,
        conversation: impl Into<ConversationId>,
        cseqs: &[u64],
    ) -> Result<HistoryPage, ClientError> {
        let request = wire::MessagesRequest { conversation: conversation.into().to_string(), cseqs: cseqs.to_vec() };
        Ok(self.page(answer!(self, Op::Messages(request), Messages)))
    }

    fn page(&self, page: wire::HistoryPage) -> HistoryPage {
        let entry = |entry: wire::Entry| match entry.item? {
            wire::entry::Item::Message(message) => Entry::read(self.uid(), 0, message),
            _ => None,
        };
        HistoryPage {
            entries: page.entries.into_iter().filter_map(entry).collect(),
            head_cseq: page.head_cseq,
            more: page.more,
            reactions: page.reactions.into_iter().map(Reactions::read).collect(),
        }
    }

    /// This user's conversations at the server after the position `after` (0: the first), at most `limit` (1-200; 0
    /// means 50). [`Client::conversations`] has the same at hand.
    pub async fn conversations_page(&self, after: u64, limit: u32) -> Result<ConversationsPage, ClientError> {
        let request = wire::ConversationsRequest { after, limit, conversation: String::new() };
        let page = answer!(self, Op::Conversations(request), Conversations);
        let conversations = page.conversations.into_iter().filter_map(|row| Conversation::read(self.uid(), row));
        Ok(ConversationsPage { conversations: conversations.collect(), next: page.next })
    }

    /// One conversation at the server; None: it is not one of this user's.
    pub async fn conversation(&self, id: impl Into<ConversationId>) -> Result<Option<Conversation>, ClientError> {
        let request = wire::ConversationsRequest { conversation: id.into().to_string(), ..Default::default() };
        let page = answer!(self, Op::Conversations(request), Conversations);
        Ok(page.conversations.into_iter().find_map(|row| Conversation::read(self.uid(), row)))
    }

    /// A group by its number.
    pub async fn group(&self, group: u64) -> Result<Group, ClientError> {
        let request = wire::GroupRequest { group: ConversationId::Group(group).to_string() };
        let told = answer!(self, Op::Group(request), Group);
        Group::read(told).ok_or_else(|| mismatch("the server told of a group without a number"))
    }

    /// Members of a group after the position `after` (0: the first), at most `limit` (1-200; 0 means 50). `role`: only
    /// those; Pending and Banned for admins. Role::None: members, admins and the owner.
    pub async fn members(&self, group: u64, role: Role, after: u64, limit: u32) -> Result<MembersPage, ClientError> {
        let group = ConversationId::Group(group).to_string();
        let request = wire::MembersRequest { group, after, limit, role: role.into() };
        let page = answer!(self, Op::Members(request), Members);
        Ok(MembersPage { members: page.members.into_iter().filter_map(Member::read).collect(), next: page.next })
    }

    /// What became of a message of this user.
    pub async fn message_status(
        &self,
        conversation: impl Into<ConversationId>,
        cseq: u64,
    ) -> Result<MessageStatus, ClientError> {
        let message = wire::MessageId { conversation: conversation.into().to_string(), cseq };
        self.status_of(Which::Message(message)).await
    }

    /// What the server knows of what this device has sent under this number. [`Client::status`] has what this device
    /// knows of it.
    pub async fn send_status(&self, send_no: u64) -> Result<MessageStatus, ClientError> {
        self.status_of(Which::SendNo(send_no)).await
    }

    async fn status_of(&self, which: Which) -> Result<MessageStatus, ClientError> {
        let request = wire::StatusRequest { which: Some(which) };
        Ok(MessageStatus::read(answer!(self, Op::Status(request), Status)))
    }

    /// Who of these people, at most 100, is online. From now on Presence events tell when that changes, also after a
    /// reconnect, for up to 500 people. `replace`: follow nobody else any more.
    pub async fn follow(&self, uids: &[Uid], replace: bool) -> Result<Vec<Presence>, ClientError> {
        self.command(Command::Follow { uids: uids.to_vec(), replace }).await?;
        let request = wire::PresenceRequest { uids: uids.iter().map(Uid::to_string).collect(), replace };
        let list = answer!(self, Op::Presence(request), Presence);
        Ok(list.presence.into_iter().filter_map(Presence::read).collect())
    }

    /// This user's contacts, those blocked included, after the position `after` (0: the first), at most `limit` (1-200; 0 means 50).
    pub async fn contacts(&self, after: u64, limit: u32) -> Result<ContactsPage, ClientError> {
        let page = answer!(self, Op::Contacts(wire::ContactsRequest { after, limit }), Contacts);
        Ok(ContactsPage { contacts: page.contacts.into_iter().filter_map(Contact::read).collect(), next: page.next })
    }

    /// This user's settings.
    pub async fn privacy(&self) -> Result<Privacy, ClientError> {
        Ok(Privacy::read(answer!(self, Op::Privacy(wire::PrivacyRequest {}), Privacy)))
    }

    /// What the server knows about this user and their devices.
    pub async fn account(&self) -> Result<Account, ClientError> {
        let account = answer!(self, Op::Account(wire::AccountRequest {}), Account);
        let read = |wire::Device { device, cursor, online, ephemeral }| Device { device, cursor, online, ephemeral };
        let devices = account.devices.into_iter().map(read).collect();
        Ok(Account { uid: self.uid().clone(), head: account.head, devices })
    }
}

fn unexpected(result: Answer) -> ClientError {
    match result {
        Answer::Failure(failure) => {
            let text = reason_text(&failure.reason);
            let kind = ErrorKind::RequestFailed { code: failure.code };
            ClientError::new(kind, format!("the server refused the request: {}{text}", failure.code().as_str_name()))
        }
        _ => mismatch("the server answered another question than was asked"),
    }
}

fn mismatch(what: &str) -> ClientError {
    ClientError::new(ErrorKind::RequestFailed { code: 0 }, what)
}

impl Reactions {
    fn read(told: wire::Reactions) -> Self {
        let wire::Reactions { cseq, counts, mine, as_of_cseq } = told;
        Self { cseq, counts: counts.into_iter().map(|of| (of.reaction, of.count)).collect(), mine, as_of_cseq }
    }
}

impl MessageStatus {
    fn read(told: wire::Status) -> Self {
        let message = told.message.as_ref().filter(|message| message.cseq != 0);
        Self {
            message: message.and_then(|id| Some((ConversationId::new(&id.conversation).ok()?, id.cseq))),
            time_ms: told.time_ms,
            nack: told.nack,
            recipients: told.recipients,
            delivered: told.delivered,
            read: told.read,
            gone: told.gone(),
            to: told.to.into_iter().filter_map(RecipientStatus::read).collect(),
        }
    }
}

impl RecipientStatus {
    fn read(told: wire::RecipientStatus) -> Option<Self> {
        let wire::RecipientStatus { uid, delivered, read, offered_devices, delivered_devices, delivered_ms, read_ms } =
            told;
        let uid = Uid::new(&uid).ok()?;
        Some(Self { uid, delivered, read, offered_devices, delivered_devices, delivered_ms, read_ms })
    }
}
