//! `presence`, `contacts`, `block`, `unblock`, `privacy`.

use hongyan_client::{Act, Audience, Client, Contact, Event, Presence, Privacy, Uid};
use serde::Serialize;

use super::submit::submit;
use crate::{
    args::{People, PrivacyArgs, Switch, Who},
    exit::{Exit, Failure},
    output::Output,
    record::{ContactRecord, Record},
    session::Login,
    slot::Family,
    terminal::interrupted,
    text,
};

/// What holds now.
#[derive(Serialize)]
struct PrivacyRecord {
    write: &'static str,
    add_to_groups: &'static str,
    presence: &'static str,
    receipts: bool,
}

pub async fn run(login: &Login, people: &People) -> Result<Exit, Failure> {
    match people {
        People::Presence { uids, follow } => presence(login, uids, *follow).await,
        People::Contacts { ask: Some(uid), .. } => submit(login, Act::ask_contact(&Uid::new(uid)?)).await,
        People::Contacts { remove: Some(uid), .. } => submit(login, Act::remove_contact(&Uid::new(uid)?)).await,
        People::Contacts { .. } => contacts(login).await,
        People::Block { who } => submit(login, Act::block(&Uid::new(who)?)).await,
        People::Unblock { who } => submit(login, Act::unblock(&Uid::new(who)?)).await,
        People::Privacy(args) => privacy(login, args).await,
    }
}

async fn presence(login: &Login, uids: &[String], follow: bool) -> Result<Exit, Failure> {
    let uids = uids.iter().map(|uid| Uid::new(uid)).collect::<Result<Vec<_>, _>>()?;
    let output = login.output;
    let mut session = login.open(Family::Sender).await?;
    let all = async {
        for some in uids.chunks(100) {
            let answer = session.client.follow(some, false).await?;
            answer.iter().try_for_each(|presence| show_presence(output, presence))?;
        }
        if !follow {
            return Ok(Exit::Done);
        }
        loop {
            match session.events.next().await {
                Some(Event::Presence(presence)) => show_presence(output, &presence)?,
                Some(Event::Stopped(error)) => return Err(error.into()),
                Some(_) => {}
                None => return Ok(Exit::Done),
            }
        }
    };
    let ended = tokio::select! {
        ended = all => ended,
        signal = interrupted() => signal.map(|()| Exit::Done),
    };
    session.client.close().await;
    ended
}

fn show_presence(output: Output, presence: &Presence) -> std::io::Result<()> {
    if output.json {
        return output.record(&Record::presence(presence));
    }
    output.line(&text::presence(presence))
}

async fn contacts(login: &Login) -> Result<Exit, Failure> {
    let output = login.output;
    let session = login.open(Family::Sender).await?;
    session
        .with_events_dropped(output, async |client| {
            let mut after = 0;
            loop {
                let page = client.contacts(after, 200).await?;
                page.contacts.iter().try_for_each(|contact| show_contact(output, contact))?;
                if page.next <= after {
                    return Ok(Exit::Done);
                }
                after = page.next;
            }
        })
        .await
}

fn show_contact(output: Output, contact: &Contact) -> std::io::Result<()> {
    if output.json {
        return output.record(&ContactRecord::from(contact));
    }
    let state = match contact {
        Contact { blocked: true, .. } => "blocked",
        Contact { mutual: true, .. } => "contact",
        Contact { asked_by_them: true, .. } => "asks to be a contact",
        Contact { asked_by_me: true, .. } => "was asked",
        _ => "no contact",
    };
    output.line(&format!("{}: {state}", contact.uid))
}

async fn privacy(login: &Login, args: &PrivacyArgs) -> Result<Exit, Failure> {
    let output = login.output;
    let wanted = Privacy {
        write: args.write.map(Audience::from),
        add_to_groups: args.add_to_groups.map(Audience::from),
        presence: args.presence.map(Audience::from),
        no_receipts: args.receipts.map(|receipts| receipts == Switch::Off),
    };
    let session = login.open(Family::Sender).await?;
    session
        .with_events_dropped(output, async |client| {
            if wanted != Privacy::default() {
                client.submit(Act::privacy(wanted)).await?;
            }
            show_privacy(client, output).await
        })
        .await
}

async fn show_privacy(client: &Client, output: Output) -> Result<Exit, Failure> {
    let held = client.privacy().await?;
    let record = PrivacyRecord {
        write: who(held.write),
        add_to_groups: who(held.add_to_groups),
        presence: who(held.presence),
        receipts: held.no_receipts != Some(true),
    };
    if output.json {
        output.record(&record)?;
        return Ok(Exit::Done);
    }
    let PrivacyRecord { write, add_to_groups, presence, receipts } = record;
    let receipts = if receipts { "told to others" } else { "told to nobody" };
    output
        .line(&format!("write: {write}\nadd to groups: {add_to_groups}\npresence: {presence}\nreceipts: {receipts}"))?;
    Ok(Exit::Done)
}

fn who(audience: Option<Audience>) -> &'static str {
    match audience {
        Some(Audience::Everybody) => "everybody",
        Some(Audience::Contacts) => "contacts",
        Some(Audience::Nobody) => "nobody",
        _ => "as the server has it",
    }
}

impl From<Who> for Audience {
    fn from(who: Who) -> Self {
        match who {
            Who::Everybody => Audience::Everybody,
            Who::Contacts => Audience::Contacts,
            Who::Nobody => Audience::Nobody,
        }
    }
}
