//! `group`: making groups, and what is done in them.

use hongyan_client::{
    Act, Client, ConversationId, Group, GroupSettings, GroupUpdate, InvalidId, JoinPolicy, Member, Role, Uid,
};

use super::submit::{submit, submit_with};
use crate::{
    args::{GroupCommand, JoinName, Least, Rank, RoleName, Settings},
    exit::{Exit, Failure},
    output::Output,
    record::{GroupRecord, MemberRecord},
    session::Login,
    slot::Family,
    text::{count, harmless, join_name, local_clock, role_name},
};

pub async fn run(login: &Login, command: &GroupCommand) -> Result<Exit, Failure> {
    match command {
        GroupCommand::Create { title, members, settings } => create(login, title, members, settings).await,
        GroupCommand::Info { group } => {
            ask(login, async |client, output| show(output, &client.group(*group).await?)).await
        }
        GroupCommand::Members { group, role } => {
            let role = role.map_or(Role::None, Role::from);
            ask(login, async |client, output| members_of(client, output, *group, role).await).await
        }
        GroupCommand::Requests { group } => {
            ask(login, async |client, output| members_of(client, output, *group, Role::Pending).await).await
        }
        GroupCommand::Link { group, new, revoke } => link(login, *group, *new, *revoke).await,
        GroupCommand::Invite { group, uids } => submit(login, Act::invite(*group, &names(uids)?)).await,
        GroupCommand::Join { group, link } => submit(login, Act::join(*group, link.as_deref())).await,
        GroupCommand::Leave { group } => submit(login, Act::leave(*group)).await,
        GroupCommand::Remove { group, who } => submit(login, Act::remove(*group, &Uid::new(who)?, false)).await,
        GroupCommand::Ban { group, who } => submit(login, Act::remove(*group, &Uid::new(who)?, true)).await,
        GroupCommand::Unban { group, who } => submit(login, Act::unban(*group, &Uid::new(who)?)).await,
        GroupCommand::Role { group, who, role } => {
            let role = if *role == Rank::Admin { Role::Admin } else { Role::Member };
            submit(login, Act::set_role(*group, &Uid::new(who)?, role)).await
        }
        GroupCommand::Transfer { group, who } => submit(login, Act::transfer(*group, &Uid::new(who)?)).await,
        GroupCommand::Dissolve { group } => submit(login, Act::dissolve(*group)).await,
        GroupCommand::Update { group, title, settings } => update(login, *group, title.clone(), settings).await,
        GroupCommand::Admit { group, who, refuse: false } => submit(login, Act::admit(*group, &Uid::new(who)?)).await,
        GroupCommand::Admit { group, who, refuse: true } => submit(login, Act::refuse(*group, &Uid::new(who)?)).await,
    }
}

async fn create(login: &Login, title: &str, members: &[String], settings: &Settings) -> Result<Exit, Failure> {
    let members = names(members)?;
    let role = |least: Option<Least>| least.map_or(Role::None, Role::from);
    let settings = GroupSettings {
        title: title.to_owned(),
        description: settings.description.clone().unwrap_or_default(),
        join: settings.join.map_or(JoinPolicy::JoinClosed, JoinPolicy::from),
        history_for_new: settings.history_for_new.unwrap_or(false),
        may_post: role(settings.may_post),
        may_invite: role(settings.may_invite),
        may_pin: role(settings.may_pin),
        may_describe: role(settings.may_describe),
        may_mention_all: role(settings.may_mention_all),
    };
    ask(login, async |client, output| {
        let sent = submit_with(client, output, Act::create_group(settings, &members)).await?;
        if output.json {
            return Ok(());
        }
        output.line(&sent.conversation.to_string())?;
        if let ConversationId::Group(number) = sent.conversation
            && !members.is_empty()
        {
            let group = client.group(number).await?;
            let left_out = (members.len() + 1).saturating_sub(group.members as usize);
            if left_out > 0 {
                let who = count(left_out, "person").replace("persons", "people");
                output.note(&format!("{who} could not be added"));
            }
        }
        Ok(())
    })
    .await
}

async fn update(login: &Login, group: u64, title: Option<String>, settings: &Settings) -> Result<Exit, Failure> {
    let role = |least: Option<Least>| least.map(Role::from);
    let update = GroupUpdate {
        title,
        description: settings.description.clone(),
        join: settings.join.map(JoinPolicy::from),
        history_for_new: settings.history_for_new,
        may_post: role(settings.may_post),
        may_invite: role(settings.may_invite),
        may_pin: role(settings.may_pin),
        may_describe: role(settings.may_describe),
        may_mention_all: role(settings.may_mention_all),
    };
    if update == GroupUpdate::default() {
        return Err(Failure::usage("say what to change: --title, --join and so on; --help lists all"));
    }
    submit(login, Act::update_group(group, update)).await
}

async fn link(login: &Login, group: u64, new: bool, revoke: bool) -> Result<Exit, Failure> {
    if revoke {
        return submit(login, Act::revoke_link(group)).await;
    }
    ask(login, async |client, output| {
        if new {
            client.submit(Act::new_link(group)).await?;
        }
        let told = client.group(group).await?;
        if output.json {
            return Ok(output.record(&GroupRecord::from(&told))?);
        }
        match &told.link {
            Some(link) => Ok(output.line(&harmless(link))?),
            None => {
                let what = "there is no link, or you may not see it; --new makes one if you may invite";
                Err(Failure::new(Exit::Refused, what))
            }
        }
    })
    .await
}

/// Work of one client, after which all is done.
async fn ask(login: &Login, work: impl AsyncFnOnce(&Client, Output) -> Result<(), Failure>) -> Result<Exit, Failure> {
    let output = login.output;
    let session = login.open(Family::Sender).await?;
    session.with_events_dropped(output, async |client| work(client, output).await.map(|()| Exit::Done)).await
}

async fn members_of(client: &Client, output: Output, group: u64, role: Role) -> Result<(), Failure> {
    let mut after = 0;
    loop {
        let page = client.members(group, role, after, 200).await?;
        page.members.iter().try_for_each(|member| show_member(output, member))?;
        if page.next <= after {
            return Ok(());
        }
        after = page.next;
    }
}

fn show_member(output: Output, member: &Member) -> std::io::Result<()> {
    if output.json {
        return output.record(&MemberRecord::from(member));
    }
    // Who is banned did not join.
    let since = (member.joined_ms > 0).then(|| format!(" since {}", local_clock(member.joined_ms)));
    let by = member.invited_by.as_ref().map_or_else(String::new, |by| format!(", added by {by}"));
    let role = role_name(member.role);
    output.line(&format!("{:<20} {role:<8}{}{by}", member.uid.as_str(), since.unwrap_or_default()))
}

fn show(output: Output, group: &Group) -> Result<(), Failure> {
    if output.json {
        return Ok(output.record(&GroupRecord::from(group))?);
    }
    let settings = &group.settings;
    let owner = group.owner.as_ref().map_or("nobody", |owner| owner.as_str());
    let members = count(group.members as usize, "member");
    output.line(&format!("{} {}: {members}, owner {owner}", group.id, harmless(&settings.title)))?;
    if !settings.description.is_empty() {
        output.line(&format!("  {}", harmless(&settings.description)))?;
    }
    let sees = if settings.history_for_new { "see" } else { "do not see" };
    output.line(&format!("  join: {}; new members {sees} what was before", join_name(settings.join)))?;
    let least = [
        ("post", settings.may_post),
        ("invite", settings.may_invite),
        ("pin", settings.may_pin),
        ("describe", settings.may_describe),
        ("mention all", settings.may_mention_all),
    ];
    let least: Vec<_> = least.iter().map(|(what, role)| format!("{what} {}", role_name(*role))).collect();
    output.line(&format!("  at least: {}", least.join(", ")))?;
    let state = [(group.large, "large"), (group.dissolved, "dissolved")];
    let state: Vec<_> = state.iter().filter(|(is, _)| *is).map(|(_, name)| format!(", {name}")).collect();
    output.line(&format!("  you: {}{}", role_name(group.role), state.concat()))?;
    if let Some(link) = &group.link {
        output.line(&format!("  link: {}", harmless(link)))?;
    }
    Ok(())
}

fn names(uids: &[String]) -> Result<Vec<Uid>, InvalidId> {
    uids.iter().map(|uid| Uid::new(uid)).collect()
}

impl From<JoinName> for JoinPolicy {
    fn from(name: JoinName) -> Self {
        match name {
            JoinName::Closed => JoinPolicy::JoinClosed,
            JoinName::Link => JoinPolicy::JoinLink,
            JoinName::Request => JoinPolicy::JoinRequest,
            JoinName::Open => JoinPolicy::JoinOpen,
        }
    }
}

impl From<Least> for Role {
    fn from(least: Least) -> Self {
        match least {
            Least::Member => Role::Member,
            Least::Admin => Role::Admin,
            Least::Owner => Role::Owner,
        }
    }
}

impl From<RoleName> for Role {
    fn from(name: RoleName) -> Self {
        match name {
            RoleName::Member => Role::Member,
            RoleName::Admin => Role::Admin,
            RoleName::Owner => Role::Owner,
            RoleName::Pending => Role::Pending,
            RoleName::Banned => Role::Banned,
        }
    }
}
