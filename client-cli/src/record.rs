//! The JSON records of what is printed: one object in a line, told apart by `type`.

use base64::{Engine, prelude::BASE64_STANDARD};
use hongyan_client::{
    Changed, Contact, Content, Conversation, Entry, Gone, Group, JoinRequest, Member, Presence, Receipt, Received,
    Sent, What,
};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::text::{join_name, role_name};

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Record<'a> {
    Message(MessageRecord<'a>),
    Changed(ChangedRecord<'a>),
    Sent(AckRecord),
    Receipt(ReceiptRecord<'a>),
    Conversation(ConversationRecord),
    JoinRequest { group: String, uid: &'a str, settled: bool },
    Contact(ContactRecord<'a>),
    Presence { uid: &'a str, online: bool, last_seen_ms: u64 },
    Typing { conversation: String, from: &'a str },
    Skipped { conversation: String, after_cseq: u64, before_cseq: u64 },
    Reset,
}

impl<'a> Record<'a> {
    pub fn entry(entry: &'a Entry) -> Self {
        match entry {
            Entry::Message(message) => Record::Message(message.into()),
            Entry::Changed(changed) => Record::Changed(changed.into()),
        }
    }

    pub fn presence(presence: &'a Presence) -> Self {
        let Presence { uid, online, last_seen_ms } = presence;
        Record::Presence { uid: uid.as_str(), online: *online, last_seen_ms: *last_seen_ms }
    }

    pub fn join_request(request: &'a JoinRequest) -> Self {
        let JoinRequest { group, uid, settled } = request;
        Record::JoinRequest { group: group.to_string(), uid: uid.as_str(), settled: *settled }
    }
}

#[derive(Serialize)]
pub struct MessageRecord<'a> {
    /// Not known of messages from a history, or of large groups.
    #[serde(skip_serializing_if = "is_zero")]
    useq: u64,
    from: &'a str,
    to: String,
    cseq: u64,
    time_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_base64: Option<String>,
    own: bool,
    #[serde(skip_serializing_if = "is_zero")]
    reply_to: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    mentions: Vec<&'a str>,
    #[serde(skip_serializing_if = "is_false")]
    mention_all: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    forwarded_from: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    edited_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gone: Option<&'static str>,
    #[serde(skip_serializing_if = "is_zero")]
    expires_ms: u64,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

fn is_false(flag: &bool) -> bool {
    !flag
}

/// A content as text, or in base64 where it is none.
fn text_or_base64(content: &[u8]) -> (Option<String>, Option<String>) {
    let text = Content::as_text(content);
    let base64 = text.is_none().then(|| BASE64_STANDARD.encode(content));
    (text, base64)
}

pub fn gone_name(gone: Gone) -> Option<&'static str> {
    match gone {
        Gone::Not => None,
        Gone::Recalled => Some("recalled"),
        Gone::Expired => Some("expired"),
    }
}

impl<'a> From<&'a Received> for MessageRecord<'a> {
    fn from(message: &'a Received) -> Self {
        let gone = gone_name(message.gone);
        let (text, content_base64) = if gone.is_some() { (None, None) } else { text_or_base64(&message.content) };
        Self {
            useq: message.useq,
            from: message.from.as_str(),
            to: message.to.to_string(),
            cseq: message.cseq,
            time_ms: message.time_ms,
            text,
            content_base64,
            own: message.own,
            reply_to: message.reply_to,
            mentions: message.mentions.iter().map(|uid| uid.as_str()).collect(),
            mention_all: message.mention_all,
            forwarded_from: message.forwarded_from.as_ref().map(|uid| uid.as_str()),
            edited_ms: message.edited.map(|(_, time_ms)| time_ms),
            gone,
            expires_ms: message.expires_ms,
        }
    }
}

#[derive(Serialize)]
pub struct ChangedRecord<'a> {
    #[serde(skip_serializing_if = "is_zero")]
    useq: u64,
    conversation: String,
    by: &'a str,
    cseq: u64,
    time_ms: u64,
    own: bool,
    what: &'static str,
    #[serde(flatten)]
    details: Map<String, Value>,
}

impl<'a> From<&'a Changed> for ChangedRecord<'a> {
    fn from(changed: &'a Changed) -> Self {
        let Changed { useq, conversation, by, cseq, time_ms, own, what } = changed;
        let details = match details(what) {
            Value::Object(details) => details,
            _ => Map::new(),
        };
        let (conversation, by) = (conversation.to_string(), by.as_str());
        Self { useq: *useq, conversation, by, cseq: *cseq, time_ms: *time_ms, own: *own, what: what.name(), details }
    }
}

fn details(what: &What) -> Value {
    let names = |uids: &[hongyan_client::Uid]| uids.iter().map(ToString::to_string).collect::<Vec<_>>();
    match what {
        What::Edited { cseq, content, .. } => {
            let (text, content_base64) = text_or_base64(content);
            json!({ "target": cseq, "text": text, "content_base64": content_base64 })
        }
        What::Recalled { cseq, author } => json!({ "target": cseq, "author": author.as_ref().map(|uid| uid.as_str()) }),
        What::Reacted { cseq, reaction, previous } => {
            json!({ "target": cseq, "reaction": reaction, "previous": previous })
        }
        What::Pinned { cseq } | What::Unpinned { cseq } => json!({ "target": cseq }),
        What::Disappears { after_s } => json!({ "after_s": after_s }),
        What::GroupCreated { settings, members } => json!({ "title": settings.title, "members": names(members) }),
        What::GroupUpdated(update) => json!({ "title": update.title, "description": update.description }),
        What::Invited { uids } => json!({ "uids": names(uids) }),
        What::Removed { uid, banned } => json!({ "uid": uid.as_str(), "banned": banned }),
        What::Unbanned { uid } | What::Transferred { uid } => json!({ "uid": uid.as_str() }),
        What::RoleChanged { uid, role } => json!({ "uid": uid.as_str(), "role": role_name(*role) }),
        _ => Value::Null,
    }
}

/// The server's answer to a message or act.
#[derive(Serialize)]
pub struct AckRecord {
    send_no: u64,
    conversation: String,
    cseq: u64,
    useq: u64,
    time_ms: u64,
}

impl From<&Sent> for AckRecord {
    fn from(Sent { send_no, conversation, cseq, useq, time_ms }: &Sent) -> Self {
        let conversation = conversation.to_string();
        Self { send_no: *send_no, conversation, cseq: *cseq, useq: *useq, time_ms: *time_ms }
    }
}

#[derive(Serialize)]
pub struct ReceiptRecord<'a> {
    conversation: String,
    by: &'a str,
    #[serde(skip_serializing_if = "is_zero")]
    delivered_cseq: u64,
    #[serde(skip_serializing_if = "is_zero")]
    read_cseq: u64,
    time_ms: u64,
}

impl<'a> From<&'a Receipt> for ReceiptRecord<'a> {
    fn from(receipt: &'a Receipt) -> Self {
        let Receipt { conversation, by, delivered_cseq, read_cseq, time_ms } = receipt;
        let (conversation, by) = (conversation.to_string(), by.as_str());
        Self { conversation, by, delivered_cseq: *delivered_cseq, read_cseq: *read_cseq, time_ms: *time_ms }
    }
}

#[derive(Serialize)]
pub struct ConversationRecord {
    conversation: String,
    title: String,
    head_cseq: u64,
    read_cseq: u64,
    unread: u32,
    pinned: bool,
    muted_until_ms: u64,
    archived: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    draft: Option<String>,
    peer_delivered_cseq: u64,
    peer_read_cseq: u64,
    disappear_after_s: u32,
    pins: Vec<u64>,
    former: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
    time_ms: u64,
}

impl From<&Conversation> for ConversationRecord {
    fn from(row: &Conversation) -> Self {
        Self {
            conversation: row.id.to_string(),
            title: row.title(),
            head_cseq: row.head_cseq,
            read_cseq: row.read_cseq,
            unread: row.unread,
            pinned: row.pinned,
            muted_until_ms: row.muted_until_ms,
            archived: row.archived,
            draft: (!row.draft.is_empty()).then(|| String::from_utf8_lossy(&row.draft).into_owned()),
            peer_delivered_cseq: row.peer_delivered_cseq,
            peer_read_cseq: row.peer_read_cseq,
            disappear_after_s: row.disappear_after_s,
            pins: row.pins.clone(),
            former: row.former,
            role: row.group.as_ref().map(|group| role_name(group.role)),
            time_ms: row.time_ms(),
        }
    }
}

#[derive(Serialize)]
pub struct ContactRecord<'a> {
    uid: &'a str,
    mutual: bool,
    asked_by_me: bool,
    asked_by_them: bool,
    blocked: bool,
}

impl<'a> From<&'a Contact> for ContactRecord<'a> {
    fn from(contact: &'a Contact) -> Self {
        let Contact { uid, mutual, asked_by_me, asked_by_them, blocked } = contact;
        let (uid, mutual, blocked) = (uid.as_str(), *mutual, *blocked);
        Self { uid, mutual, asked_by_me: *asked_by_me, asked_by_them: *asked_by_them, blocked }
    }
}

#[derive(Serialize)]
pub struct GroupRecord<'a> {
    group: String,
    title: &'a str,
    description: &'a str,
    members: u32,
    role: &'static str,
    owner: Option<&'a str>,
    join: &'static str,
    history_for_new: bool,
    may_post: &'static str,
    may_invite: &'static str,
    may_pin: &'static str,
    may_describe: &'static str,
    may_mention_all: &'static str,
    large: bool,
    dissolved: bool,
    link: Option<&'a str>,
}

impl<'a> From<&'a Group> for GroupRecord<'a> {
    fn from(group: &'a Group) -> Self {
        let settings = &group.settings;
        Self {
            group: group.id.to_string(),
            title: &settings.title,
            description: &settings.description,
            members: group.members,
            role: role_name(group.role),
            owner: group.owner.as_ref().map(|uid| uid.as_str()),
            join: join_name(settings.join),
            history_for_new: settings.history_for_new,
            may_post: role_name(settings.may_post),
            may_invite: role_name(settings.may_invite),
            may_pin: role_name(settings.may_pin),
            may_describe: role_name(settings.may_describe),
            may_mention_all: role_name(settings.may_mention_all),
            large: group.large,
            dissolved: group.dissolved,
            link: group.link.as_deref(),
        }
    }
}

#[derive(Serialize)]
pub struct MemberRecord<'a> {
    uid: &'a str,
    role: &'static str,
    joined_ms: u64,
    invited_by: Option<&'a str>,
}

impl<'a> From<&'a Member> for MemberRecord<'a> {
    fn from(member: &'a Member) -> Self {
        let invited_by = member.invited_by.as_ref().map(|uid| uid.as_str());
        Self { uid: member.uid.as_str(), role: role_name(member.role), joined_ms: member.joined_ms, invited_by }
    }
}

#[cfg(test)]
mod tests {
    use hongyan_client::Uid;

    use super::*;
    use crate::{output::json_line, text::tests::received};

    #[test]
    fn a_message_is_one_line_of_json_whatever_it_says() {
        let line = json_line(&Record::Message((&received("alice", 2, Content::text("a\n\x1b\"\u{9b}b"))).into()));
        let head = r#"{"type":"message","useq":2,"from":"alice","to":"bob","cseq":2,"time_ms":0,"#;
        assert_eq!(line, format!(r#"{head}"text":"a\n\u001b\"\u009bb","own":false}}"#));
        let line = json_line(&Record::Message((&received("alice", 2, b"\xff\xff"[..].into())).into()));
        assert_eq!(line, format!(r#"{head}"content_base64":"//8=","own":false}}"#));
        let gone = Received { gone: Gone::Recalled, reply_to: 1, ..received("alice", 2, "".into()) };
        let line = json_line(&Record::Message((&gone).into()));
        assert_eq!(line, format!(r#"{head}"own":false,"reply_to":1,"gone":"recalled"}}"#));
    }

    #[test]
    fn what_was_done_names_its_details() {
        let (by, conversation) = (Uid::new("bob").unwrap(), Uid::new("bob").unwrap().into());
        let what = What::Reacted { cseq: 3, reaction: "+".into(), previous: String::new() };
        let changed = Changed { useq: 9, conversation, by, cseq: 4, time_ms: 5, own: false, what };
        assert_eq!(
            json_line(&Record::Changed((&changed).into())),
            r#"{"type":"changed","useq":9,"conversation":"bob","by":"bob","cseq":4,"time_ms":5,"own":false,"what":"reacted","previous":"","reaction":"+","target":3}"#
        );
    }

    #[test]
    fn receipts_and_acks_name_their_type() {
        let (conversation, by) = (Uid::new("bob").unwrap().into(), Uid::new("bob").unwrap());
        let receipt = Receipt { conversation, by, delivered_cseq: 4, read_cseq: 0, time_ms: 6 };
        assert_eq!(
            json_line(&Record::Receipt((&receipt).into())),
            r#"{"type":"receipt","conversation":"bob","by":"bob","delivered_cseq":4,"time_ms":6}"#
        );
        let sent = Sent { send_no: 1, conversation: receipt.conversation, cseq: 2, useq: 3, time_ms: 4 };
        let ack = r#""send_no":1,"conversation":"bob","cseq":2,"useq":3,"time_ms":4}"#;
        assert_eq!(json_line(&Record::Sent((&sent).into())), format!(r#"{{"type":"sent",{ack}"#));
        assert_eq!(json_line(&AckRecord::from(&sent)), format!("{{{ack}"));
    }
}
