//! Groups: what they are, and who is in them. For members alone.

use hongyan_proto::{
    ConversationId,
    wire::{self, Role, response},
};
use prost::Message;

use super::asker::{Answer, Asker, Problem, ROW_RESERVE, forbidden, invalid, not_found, page_limit};
use crate::{
    base::number::UserNo,
    log::{MemberRecord, View, is_member},
};

/// Members looked at in one step, and for one page.
const STEP: usize = 256;
const MAX_LOOKED_AT: usize = 4096;

pub async fn group(asker: &Asker<'_>, request: wire::GroupRequest) -> Answer {
    let (view, _) = group_of_mine(asker, &request.group).await?;
    let group = asker.log.group_as_seen(asker.user(), view.no, &view.record).await?;
    group.map(response::Result::Group).ok_or_else(|| not_found("there is no such group"))
}

/// A group that the user is in, and as what.
async fn group_of_mine(asker: &Asker<'_>, name: &str) -> Result<(View, Role), Problem> {
    if !matches!(ConversationId::new(name), Ok(ConversationId::Group(_))) {
        return Err(invalid("group: write # and the number of the group"));
    }
    let view = asker.view(name).await?.ok_or_else(|| not_found("there is no such group"))?;
    let role = asker.log.member(view.no, asker.user()).await?.map_or(Role::None, |member| member.role());
    match is_member(role) {
        true => Ok((view, role)),
        false => Err(forbidden("you are not in this group any more")),
    }
}

pub async fn members(asker: &Asker<'_>, request: wire::MembersRequest) -> Answer {
    let limit = page_limit(request.limit)?;
    let wanted = Role::try_from(request.role).map_err(|_| invalid("role: there is no such role"))?;
    let after = u32::try_from(request.after).map_err(|_| invalid("after: use `next` of the page before"))?;
    let (view, mine) = group_of_mine(asker, &request.group).await?;
    if matches!(wanted, Role::Pending | Role::Banned) && !matches!(mine, Role::Admin | Role::Owner) {
        return Err(forbidden("only admins see who waits and who is banned"));
    }
    let (mut page, mut room) = (wire::MembersPage::default(), asker.room());
    let (mut position, mut looked_at) = (after, 0);
    loop {
        let found = asker.log.members(view.no, position, STEP).await?;
        let is_last = found.len() < STEP;
        looked_at += found.len();
        for (user, record) in found {
            if is_wanted(record.role(), wanted) {
                let member = member(asker, user, record).await?;
                let size = member.encoded_len() + ROW_RESERVE;
                if page.members.len() == limit || size > room {
                    page.next = position.into();
                    return Ok(response::Result::Members(page));
                }
                room -= size;
                page.members.push(member);
            }
            position = user.0;
        }
        if is_last || looked_at >= MAX_LOOKED_AT {
            page.next = if is_last { 0 } else { position.into() };
            return Ok(response::Result::Members(page));
        }
    }
}

async fn member(asker: &Asker<'_>, user: UserNo, record: MemberRecord) -> Result<wire::Member, Problem> {
    let invited_by = match record.invited_by {
        0 => String::new(),
        by => asker.log.uid(UserNo(by)).await?,
    };
    let (uid, role) = (asker.log.uid(user).await?, record.role);
    Ok(wire::Member { uid, role, joined_ms: record.joined_ms, invited_by })
}

fn is_wanted(role: Role, wanted: Role) -> bool {
    if wanted == Role::None { is_member(role) } else { role == wanted }
}
