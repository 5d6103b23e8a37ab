//! The user's list of conversations.

use hongyan_proto::wire::{self, response};
use prost::Message;

use super::asker::{Answer, Asker, Problem, ROW_RESERVE, page_limit};
use crate::{base::number::ConversationNo, log::MembershipRecord};

pub async fn conversations(asker: &Asker<'_>, request: wire::ConversationsRequest) -> Answer {
    let limit = page_limit(request.limit)?;
    let mut page = wire::ConversationsPage::default();
    if !request.conversation.is_empty() {
        let view = asker.view(&request.conversation).await?;
        if let Some(view) = view
            && let Some(row) = row(asker, view.no, &view.membership).await?
        {
            page.conversations.push(without_excess(row, asker.room()));
        }
        return Ok(response::Result::Conversations(page));
    }
    let (found, mut room) = (asker.log.memberships(asker.user(), request.after, limit).await?, asker.room());
    if found.len() == limit {
        page.next = found.last().map_or(0, |(no, _)| no.0);
    }
    let mut position = 0;
    for (no, membership) in found {
        let Some(mut row) = row(asker, no, &membership).await? else {
            position = no.0;
            continue;
        };
        if page.conversations.is_empty() {
            row = without_excess(row, room);
        }
        let size = row.encoded_len() + ROW_RESERVE;
        if size > room {
            page.next = position;
            break;
        }
        room -= size;
        position = no.0;
        page.conversations.push(row);
        // A page can mean reading many messages, to count the unread ones.
        tokio::task::yield_now().await;
    }
    Ok(response::Result::Conversations(page))
}

/// None: there is nothing in it, and never was.
async fn row(
    asker: &Asker<'_>,
    no: ConversationNo,
    membership: &MembershipRecord,
) -> Result<Option<wire::Conversation>, Problem> {
    let Some(mut row) = asker.log.conversation_as_seen(asker.user(), no).await? else { return Ok(None) };
    if row.head_cseq == 0 && *membership == MembershipRecord::default() {
        return Ok(None);
    }
    row.last = asker.log.last_seen(asker.user(), no).await?;
    Ok(Some(row))
}

/// A row that alone is longer than a page goes without what can be asked for or is the user's own to repeat.
fn without_excess(mut row: wire::Conversation, room: usize) -> wire::Conversation {
    if row.encoded_len() + ROW_RESERVE > room {
        row.last = None;
    }
    if row.encoded_len() + ROW_RESERVE > room {
        row.group = None;
    }
    if row.encoded_len() + ROW_RESERVE > room {
        row.draft.clear();
    }
    row
}
