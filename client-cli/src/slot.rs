//! Which device this run is. Runs of one user side by side must not replace each other, so each takes the first free
//! *slot* of its family: a device with a store of its own, which is also the lock.
//!
//! ```text
//! <state>/host-id                         8 hex digits, part of every device name of this machine
//! <state>/<server>/<uid>/r0.db r1.db …    readers (listen), which keep their place between runs
//!                        s0.db s1.db …    senders (send, history, status, ping), which keep what is not yet sent
//!                        c0.db c1.db …    chats
//!                        dev-NAME.db      --device NAME
//! ```

use std::{
    collections::HashMap,
    fs, io,
    path::{Path, PathBuf},
};

use hongyan_client::{DeviceName, LocalStore, MemoryStore, SqliteStore, StoreError, Uid, store::ConversationMark};

use crate::{
    exit::Failure,
    profile::{private_dir, write_private},
};

/// Slots of one family. Nobody runs that many side by side.
const MAX_SLOTS: usize = 256;

/// What runs of one kind share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    Reader,
    Sender,
    Chat,
}

impl Family {
    pub const ALL: [Family; 3] = [Family::Reader, Family::Sender, Family::Chat];

    fn letter(self) -> char {
        match self {
            Family::Reader => 'r',
            Family::Sender => 's',
            Family::Chat => 'c',
        }
    }
}

/// A device of this machine that nobody else is now.
pub struct Slot {
    /// The name of its store without the ending, such as `s0`.
    pub name: String,
    pub device: DeviceName,
    pub store: Box<dyn LocalStore>,
    /// The numbers of messages that an earlier run has left unanswered.
    pub left: Vec<u64>,
    /// How far each peer is known to have received and read the conversation.
    pub received: HashMap<String, (u64, u64)>,
}

impl std::fmt::Debug for Slot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Slot({}, {} left)", self.name, self.left.len())
    }
}

/// The devices of one user at one server, on this machine.
pub struct Devices {
    root: PathBuf,
    dir: PathBuf,
}

impl Devices {
    pub fn new(state: &Path, server: &str, uid: &Uid) -> Self {
        Self { root: state.to_owned(), dir: state.join(file_name(server)).join(file_name(uid.as_str())) }
    }

    /// The first free slot of `family`; for senders and chats the first with unsent messages, if there is one.
    pub fn take(&self, family: Family) -> Result<Slot, Failure> {
        private_dir(&self.dir)?;
        let host = self.host_id()?;
        let mut free: Option<Slot> = None;
        for number in 0..MAX_SLOTS {
            let name = format!("{}{number}", family.letter());
            let path = self.dir.join(format!("{name}.db"));
            let is_new = !path.exists();
            if is_new && free.is_some() {
                break;
            }
            let device = DeviceName::new(&format!("cli-{host}-{name}")).expect("letters, digits and dashes");
            match open(&path, name, device) {
                Ok(slot) if !slot.left.is_empty() => return Ok(slot),
                Ok(slot) => {
                    free.get_or_insert(slot);
                }
                Err(StoreError::InUse { .. }) => continue,
                Err(error) => return Err(error.into()),
            }
            if is_new || family == Family::Reader {
                break;
            }
        }
        free.ok_or_else(|| Failure::local("no free device", format!("{MAX_SLOTS} runs use {}", self.dir.display())))
    }

    /// The device that was named, which only one run can be.
    pub fn named(&self, device: DeviceName) -> Result<Slot, Failure> {
        private_dir(&self.dir)?;
        let name = format!("dev-{device}");
        Ok(open(&self.dir.join(format!("{name}.db")), name, device)?)
    }

    /// The names of all slots that were ever taken, with their stores' paths.
    pub fn list(&self) -> Result<Vec<(String, PathBuf)>, Failure> {
        let entries = match fs::read_dir(&self.dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(Failure::local(self.dir.display(), error)),
        };
        let mut found: Vec<_> = entries
            .filter_map(|entry| {
                let path = entry.ok()?.path();
                let name = path.file_name()?.to_str()?.strip_suffix(".db")?.to_owned();
                Some((name, path))
            })
            .collect();
        found.sort();
        Ok(found)
    }

    /// Deletes every store. Refuses, deleting nothing, while a run uses one of them.
    pub fn remove(&self) -> Result<(), Failure> {
        // All locks are held until the files are gone, so that no run can begin on a store that is being deleted.
        let mut locks = Vec::new();
        for (_, path) in self.list()? {
            locks.push(SqliteStore::open(&path)?);
        }
        match fs::remove_dir_all(&self.dir) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Failure::local(self.dir.display(), error)),
            _ => Ok(()),
        }
    }

    /// Read, or drawn by the first run. Two first runs at once agree: the name is linked only once.
    fn host_id(&self) -> Result<String, Failure> {
        let path = self.root.join("host-id");
        let failed = |error: io::Error| Failure::local(path.display(), error);
        if !path.exists() {
            let draft = self.root.join(format!("host-id.{:016x}", rand::random::<u64>()));
            write_private(&draft, format!("{:08x}\n", rand::random::<u32>()).as_bytes()).map_err(failed)?;
            let linked = fs::hard_link(&draft, &path);
            fs::remove_file(&draft).map_err(failed)?;
            match linked {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(failed(error)),
                _ => {}
            }
        }
        // With another id the stores made from now on would be those of other devices, and so of no use.
        hongyan_directory::sync(&self.root).map_err(failed)?;
        let text = fs::read_to_string(&path).map_err(failed)?;
        let id = text.trim();
        if id.len() == 8 && id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Ok(id.to_owned());
        }
        Err(Failure::local(
            path.display(),
            "this is not 8 hex digits; remove the file, and this machine gets new devices",
        ))
    }
}

/// A device for one run, which leaves nothing behind.
pub fn ephemeral(device: Option<DeviceName>) -> Slot {
    let drawn = || DeviceName::new(&format!("cli-{:016x}", rand::random::<u64>())).expect("letters, digits and dashes");
    let device = device.unwrap_or_else(drawn);
    Slot {
        name: device.to_string(),
        device,
        store: Box::new(MemoryStore::new()),
        left: Vec::new(),
        received: HashMap::new(),
    }
}

fn open(path: &Path, name: String, device: DeviceName) -> Result<Slot, StoreError> {
    let mut store = SqliteStore::open(path)?;
    let loaded = store.load()?;
    let left = loaded.outbox.iter().map(|item| item.send_no).collect();
    let read = |mark: &ConversationMark| mark.row.as_ref().map_or(0, |row| row.peer_read_cseq);
    let received = loaded.conversations.into_iter().map(|(peer, mark)| (peer, (mark.delivered, read(&mark)))).collect();
    Ok(Slot { name, device, store: Box::new(store), left, received })
}

/// A file name for a server or user, different for different ones, and never `.` or `..`.
fn file_name(text: &str) -> String {
    let mut name = String::new();
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'.' if at == 0 => name.push_str("%2E"),
            b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'.' | b'_' | b'@' | b'-' | b':' => name.push(byte.into()),
            _ => name.push_str(&format!("%{byte:02X}")),
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use hongyan_client::store::{Change, OutboxItem};

    use super::*;

    fn devices(dir: &Path) -> Devices {
        Devices::new(dir, "127.0.0.1:7600", &Uid::new("alice").unwrap())
    }

    #[test]
    fn runs_side_by_side_take_different_slots_and_give_them_back() {
        let dir = tempfile::tempdir().unwrap();
        let devices = devices(dir.path());
        let first = devices.take(Family::Reader).unwrap();
        let second = devices.take(Family::Reader).unwrap();
        let sender = devices.take(Family::Sender).unwrap();
        assert_eq!((first.name.as_str(), second.name.as_str(), sender.name.as_str()), ("r0", "r1", "s0"));
        assert_ne!(first.device, second.device);
        drop(first);
        let again = devices.take(Family::Reader).unwrap();
        assert_eq!(again.name, "r0");
        assert!(again.device.as_str().ends_with("-r0") && again.device.as_str().len() == "cli-01234567-r0".len());
        let names: Vec<_> = devices.list().unwrap().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["r0", "r1", "s0"]);
    }

    #[test]
    fn what_a_killed_sender_left_is_taken_up_first() {
        let dir = tempfile::tempdir().unwrap();
        let devices = devices(dir.path());
        let first = devices.take(Family::Sender).unwrap();
        let mut second = devices.take(Family::Sender).unwrap();
        let item = OutboxItem { send_no: 1, to: "bob".into(), ..Default::default() };
        second.store.commit(&Change { queued: vec![item], ..Default::default() }).unwrap();
        drop((first, second));
        let next = devices.take(Family::Sender).unwrap();
        assert_eq!((next.name.as_str(), &next.left[..]), ("s1", &[1][..]));
        assert_eq!(devices.take(Family::Sender).unwrap().name, "s0");
    }

    #[test]
    fn a_named_device_is_for_one_run() {
        let dir = tempfile::tempdir().unwrap();
        let devices = devices(dir.path());
        let phone = || DeviceName::new("phone").unwrap();
        let held = devices.named(phone()).unwrap();
        assert!(devices.named(phone()).is_err());
        assert!(devices.remove().is_err(), "in use");
        drop(held);
        let phone = devices.named(phone()).unwrap();
        assert_eq!((phone.name.as_str(), phone.device.as_str()), ("dev-phone", "phone"));
        assert_eq!(devices.list().unwrap()[0].0, phone.name);
        drop(phone);
        devices.remove().unwrap();
        devices.remove().unwrap();
        assert!(devices.list().unwrap().is_empty());
    }

    #[test]
    fn directories_are_named_apart_and_stay_below_the_state() {
        for (text, name) in
            [("..", "%2E."), (".", "%2E"), ("a.b@c", "a.b@c"), ("tls://h:1", "tls:%2F%2Fh:1"), ("%2E", "%252E")]
        {
            assert_eq!(file_name(text), name);
        }
        let state = Path::new("/s");
        let dir = Devices::new(state, "h:1", &Uid::new("..").unwrap());
        assert_eq!(dir.dir, Path::new("/s/h:1/%2E."));
    }
}
