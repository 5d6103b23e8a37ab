//! `conversations`: one's own list, as the server has it now.

use std::time::{SystemTime, UNIX_EPOCH};

use hongyan_client::{Client, ClientError, Conversation, Entry, Uid};

use crate::{
    exit::{Exit, Failure},
    output::Output,
    record::ConversationRecord,
    session::Login,
    slot::Family,
    text,
};

/// Characters of the newest message that are shown.
const EXCERPT: usize = 50;

pub async fn run(login: &Login, unread: bool, archived: bool) -> Result<Exit, Failure> {
    let output = login.output;
    let session = login.open(Family::Sender).await?;
    session
        .with_events_dropped(output, async |client| {
            let mut rows = load(client).await?;
            rows.retain(|row| (archived || !row.archived) && (!unread || row.unread > 0));
            rows.sort_by(Conversation::order);
            rows.iter().try_for_each(|row| show(output, client.uid(), row))?;
            if rows.is_empty() {
                output.note("no conversations");
            }
            Ok(Exit::Done)
        })
        .await
}

async fn load(client: &Client) -> Result<Vec<Conversation>, ClientError> {
    let (mut rows, mut after) = (Vec::new(), 0);
    loop {
        let page = client.conversations_page(after, 200).await?;
        rows.extend(page.conversations);
        if page.next <= after {
            return Ok(rows);
        }
        after = page.next;
    }
}

fn show(output: Output, me: &Uid, row: &Conversation) -> std::io::Result<()> {
    if output.json {
        return output.record(&ConversationRecord::from(row));
    }
    let is_saved = row.id == *me;
    let title = match &row.group {
        Some(_) => format!(" {}", text::harmless(&row.title())),
        None if is_saved => " (saved messages)".into(),
        None => String::new(),
    };
    let unread = match row.unread {
        0 => String::new(),
        1000.. => "  1000+ unread".into(),
        unread => format!("  {unread} unread"),
    };
    let marks = marks(row);
    let marks = if marks.is_empty() { String::new() } else { output.dim(&format!("  ({})", marks.join(", "))) };
    output.line(&format!("{}{title}{unread}{marks}{}", row.id, last(output, row, is_saved)))
}

/// How the list shows it, in words.
fn marks(row: &Conversation) -> Vec<String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_millis() as u64);
    let mut marks: Vec<String> = [
        (row.pinned, "pinned"),
        (row.muted_until_ms > now, "muted"),
        (row.archived, "archived"),
        (row.former, "you are no member any more"),
    ]
    .into_iter()
    .filter(|(is, _)| *is)
    .map(|(_, name)| name.to_owned())
    .collect();
    if !row.draft.is_empty() {
        marks.push(format!("draft: {}", text::harmless(&String::from_utf8_lossy(&row.draft))));
    }
    marks
}

/// The newest thing in it, with ticks on what one has written to others.
fn last(output: Output, row: &Conversation, is_saved: bool) -> String {
    let (line, ticks) = match &row.last {
        None => return String::new(),
        Some(Entry::Message(message)) => {
            let ticks = match message.own && row.group.is_none() && !is_saved {
                true if message.cseq <= row.peer_read_cseq => " ✓✓ read",
                true if message.cseq <= row.peer_delivered_cseq => " ✓✓",
                true => " ✓",
                false => "",
            };
            (format!("{}: {}", message.from, text::message_text(message)), ticks)
        }
        Some(Entry::Changed(changed)) => (format!("{} {}", changed.by, text::change(changed)), ""),
    };
    let short: String = line.chars().take(EXCERPT).collect();
    let more = if short.len() < line.len() { "…" } else { "" };
    format!("\n    {} {}", output.dim(&text::local_clock(row.time_ms())), short + more + ticks)
}
