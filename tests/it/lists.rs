//! The conversation list that a device keeps is the server's, and the same on all devices of a user, whatever was done
//! while they were away; and each message of others is shown once, in groups of either size.

use hongyan_client::{
    Act, Arrangement, Content, Conversation, ConversationId, NewMessage, SendError, SqliteStore, Uid,
};
use tempfile::tempdir;

use super::{
    device::{Device, PATIENCE, builder, uid},
    server::TestServer,
};

/// What is done in one run.
const OPERATIONS: usize = 60;

/// xorshift64*: enough to choose what happens next.
struct Choices(u64);

impl Choices {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) % bound
    }
}

fn seeds() -> Vec<u64> {
    match std::env::var("HONGYAN_TEST_SEED").ok().and_then(|seed| seed.parse().ok()) {
        Some(seed) => vec![seed],
        None => (1..=3).collect(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_agree_with_groups_in_every_log() {
    for seed in seeds() {
        play("", seed).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_agree_with_large_groups() {
    for seed in seeds() {
        play("[groups]\nfan_out_threshold = 2\n", seed).await;
    }
}

struct Play {
    people: Vec<Device>,
    uids: Vec<Uid>,
    group: u64,
    choices: Choices,
}

async fn play(config: &str, seed: u64) {
    eprintln!("seed {seed}");
    let server = TestServer::with(config);
    let directory = tempdir().unwrap();
    let laptop = || {
        let store = SqliteStore::open(directory.path().join("laptop.db")).unwrap();
        Device::connect(builder(&server, "alice", "laptop").store(Box::new(store)))
    };
    let (mut people, mut uids) = (Vec::new(), Vec::new());
    for name in ["alice", "bob", "carol"] {
        people.push(Device::connect(builder(&server, name, "phone")).await);
        uids.push(uid(name));
    }
    let created = people[0].client.submit(Act::create_group(Default::default(), &uids[1..])).await.unwrap();
    let ConversationId::Group(group) = created.conversation else { panic!("{created:?}") };
    let mut play = Play { people, uids, group, choices: Choices(seed) };
    let mut seen = Vec::new();
    let mut other = laptop().await;
    for step in 0..OPERATIONS {
        play.step().await;
        if step % 20 == 19 {
            other.client.close().await;
            other.wait_stopped().await;
            seen.extend(of_others(&other));
            // What is done now, the laptop is told when it comes back.
            for _ in 0..5 {
                play.step().await;
            }
            other = laptop().await;
        }
    }
    play.assert_equal(&other, seed).await;
    seen.extend(of_others(&other));
    // An event that was under way when the laptop was closed may come twice.
    seen.dedup();
    assert_eq!(seen, of_others(&play.people[0]), "seed {seed}: each message once, in one order");
}

/// The numbers of the group's messages that others have written, as they were shown.
fn of_others(device: &Device) -> Vec<u64> {
    let shown = device.shown();
    let of_group = |id: &ConversationId| matches!(id, ConversationId::Group(_));
    shown.messages.iter().filter(|one| !one.own && of_group(&one.conversation)).map(|one| one.cseq).collect()
}

impl Play {
    /// Something that somebody does. What is not allowed is refused, and that is as good.
    async fn step(&mut self) {
        let who = self.choices.below(3) as usize;
        let client = self.people[who].client.clone();
        let to: ConversationId = match self.choices.below(4) {
            0 => self.uids[self.choices.below(3) as usize].clone().into(),
            _ => ConversationId::Group(self.group),
        };
        let head = client.conversation(&to).await.unwrap().map_or(0, |row| row.head_cseq);
        let target = (head + 1).saturating_sub(self.choices.below(4)).max(1);
        let done = match self.choices.below(14) {
            0..=4 => client.submit(NewMessage::new(&to, Content::text("hi"))).await,
            5 => client.submit(Act::recall(&to, target)).await,
            6 => client.submit(Act::edit(&to, target, Content::text("ho"))).await,
            7 => client.submit(Act::react(&to, target, "+")).await,
            8 => client.submit(Act::pin(&to, target)).await,
            9 => client.submit(Act::read(&to, target)).await,
            10 => {
                let (pinned, archived) = (Some(self.choices.below(2) == 0), Some(self.choices.below(2) == 0));
                client.submit(Act::arrange(&to, Arrangement { pinned, archived, ..Default::default() })).await
            }
            11 => client.submit(Act::remove(self.group, &self.uids[2], false)).await,
            12 => client.submit(Act::invite(self.group, &self.uids[2..])).await,
            _ => client.submit(Act::forward(&self.uids[who], &to, target)).await,
        };
        assert!(matches!(done, Ok(_) | Err(SendError::Refused { .. })), "{done:?}");
    }

    /// Waits until alice's devices have the same list, and everybody the server's.
    async fn assert_equal(&self, laptop: &Device, seed: u64) {
        let mut lists = (Vec::new(), Vec::new());
        let equal = async {
            loop {
                let phone = self.people[0].client.conversations().await.unwrap();
                let other = laptop.client.conversations().await.unwrap();
                let mut all = phone == other;
                if !all {
                    lists = (phone, other);
                }
                for person in &self.people {
                    let own = person.client.conversations().await.unwrap();
                    let held = person.client.conversations_page(0, 0).await.unwrap().conversations;
                    if bare(own.clone()) != bare(held.clone()) {
                        lists = (bare(own), bare(held));
                        all = false;
                        break;
                    }
                }
                if all {
                    return;
                }
            }
        };
        let ended = tokio::time::timeout(PATIENCE, equal).await;
        let differ: Vec<_> = lists.0.iter().zip(&lists.1).filter(|(one, other)| one != other).collect();
        assert!(ended.is_ok(), "seed {seed}: {} and {} lines, {differ:#?}", lists.0.len(), lists.1.len());
    }
}

/// In one order, without the newest thing, of which a page tells more than a list keeps.
fn bare(mut list: Vec<Conversation>) -> Vec<Conversation> {
    list.iter_mut().for_each(|row| row.last = None);
    list.sort_by(|a, b| a.id.cmp(&b.id));
    list
}
