//! A disk that forgets what was not synced: a tree of files in memory, each with what stable storage has of it. How
//! programs get at it is in [`super::mount`].
//!
//! It keeps what POSIX promises and no more. A sync of a file keeps its content and its length, a sync of a directory the
//! names in it, and a rename happens wholly or not at all. Of everything else a power cut leaves a part: of a page each
//! sector by itself, as it was synced or as it was written last; the length, old or new; of what was done to the names of a
//! directory, the first so many. A file whose name was not synced may be gone although its content was synced.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::{OsStr, OsString},
};

use fuser::Errno;
use rand::{RngExt as _, rngs::StdRng};

pub type Inode = u64;

/// The directory at the top.
pub const ROOT: Inode = 1;
/// The least that a disk writes at once.
const SECTOR_BYTES: usize = 512;
const PAGE_BYTES: u64 = 4096;

type Page = Box<[u8; PAGE_BYTES as usize]>;

/// Everything that is on the disk.
pub struct Disk {
    nodes: BTreeMap<Inode, Node>,
    last: Inode,
    /// How many changes and syncs there are before the power goes.
    until_cut: Option<u64>,
    is_off: bool,
}

pub struct Node {
    pub mode: u16,
    pub content: Content,
}

pub enum Content {
    File(File),
    Directory(Directory),
    Socket,
}

#[derive(Default)]
pub struct File {
    pub size: u64,
    /// What is not here is zeros, and a hole.
    pages: BTreeMap<u64, Page>,
    synced_size: u64,
    /// The pages that were changed since the last sync, as they were then.
    synced: BTreeMap<u64, Option<Page>>,
}

#[derive(Default)]
pub struct Directory {
    pub entries: BTreeMap<OsString, Inode>,
    synced: BTreeMap<OsString, Inode>,
    /// What was done since the last sync.
    unsynced: Vec<Change>,
}

enum Change {
    Link(OsString, Inode),
    Unlink(OsString),
    Rename(OsString, OsString),
}

impl Disk {
    pub fn new() -> Self {
        let root = Node { mode: 0o700, content: Content::Directory(Directory::default()) };
        Self { nodes: BTreeMap::from([(ROOT, root)]), last: ROOT, until_cut: None, is_off: false }
    }

    // ------------------------------------------------------------ power

    /// The power goes before the change or sync that follows `changes` others.
    pub fn cut_after(&mut self, changes: u64) {
        self.until_cut = Some(changes);
    }

    pub fn cut(&mut self) {
        self.is_off = true;
    }

    pub fn is_off(&self) -> bool {
        self.is_off
    }

    /// The power is back. Of what was not synced a `share` between 0 and 1 is there.
    pub fn power_on(&mut self, random: &mut StdRng, share: f64) {
        for node in self.nodes.values_mut() {
            match &mut node.content {
                Content::File(file) => file.forget(random, share),
                Content::Directory(directory) => directory.forget(random, share),
                Content::Socket => {}
            }
        }
        let found = self.reachable();
        self.nodes.retain(|inode, _| found.contains(inode));
        (self.is_off, self.until_cut) = (false, None);
    }

    fn reachable(&self) -> BTreeSet<Inode> {
        let mut found = BTreeSet::new();
        let mut waiting = vec![ROOT];
        while let Some(inode) = waiting.pop() {
            found.insert(inode);
            if let Content::Directory(directory) = &self.nodes[&inode].content {
                waiting.extend(directory.entries.values());
            }
        }
        found
    }

    /// Counts a change or sync that is about to happen.
    fn change(&mut self) -> Result<(), Errno> {
        match &mut self.until_cut {
            Some(0) => self.is_off = true,
            Some(left) => *left -= 1,
            None => {}
        }
        self.check_power()
    }

    fn check_power(&self) -> Result<(), Errno> {
        if self.is_off { Err(Errno::EIO) } else { Ok(()) }
    }

    // ------------------------------------------------------------ reading

    pub fn node(&self, inode: Inode) -> Result<&Node, Errno> {
        self.check_power()?;
        self.nodes.get(&inode).ok_or(Errno::ENOENT)
    }

    pub fn find(&self, directory: Inode, name: &OsStr) -> Result<Inode, Errno> {
        self.directory(directory)?.entries.get(name).copied().ok_or(Errno::ENOENT)
    }

    pub fn directory(&self, inode: Inode) -> Result<&Directory, Errno> {
        match &self.node(inode)?.content {
            Content::Directory(directory) => Ok(directory),
            _ => Err(Errno::ENOTDIR),
        }
    }

    pub fn read(&self, inode: Inode, offset: u64, size: u64) -> Result<Vec<u8>, Errno> {
        match &self.node(inode)?.content {
            Content::File(file) => Ok(file.read(offset, size)),
            _ => Err(Errno::EISDIR),
        }
    }

    /// Where the first hole from `offset` on begins: bytes that were never written. The end counts as one.
    pub fn find_hole(&self, inode: Inode, offset: u64) -> Result<u64, Errno> {
        match &self.node(inode)?.content {
            Content::File(file) if offset < file.size => Ok(file.find_hole(offset)),
            Content::File(_) => Err(Errno::ENXIO),
            _ => Err(Errno::EISDIR),
        }
    }

    // ------------------------------------------------------------ changing

    fn node_mut(&mut self, inode: Inode) -> Result<&mut Node, Errno> {
        self.change()?;
        self.nodes.get_mut(&inode).ok_or(Errno::ENOENT)
    }

    fn directory_mut(&mut self, inode: Inode) -> Result<&mut Directory, Errno> {
        match &mut self.node_mut(inode)?.content {
            Content::Directory(directory) => Ok(directory),
            _ => Err(Errno::ENOTDIR),
        }
    }

    fn file_mut(&mut self, inode: Inode) -> Result<&mut File, Errno> {
        match &mut self.node_mut(inode)?.content {
            Content::File(file) => Ok(file),
            _ => Err(Errno::EISDIR),
        }
    }

    pub fn make(&mut self, directory: Inode, name: &OsStr, node: Node) -> Result<Inode, Errno> {
        let inode = self.last + 1;
        let directory = self.directory_mut(directory)?;
        if directory.entries.contains_key(name) {
            return Err(Errno::EEXIST);
        }
        directory.change(Change::Link(name.to_owned(), inode));
        self.nodes.insert(inode, node);
        self.last = inode;
        Ok(inode)
    }

    pub fn remove(&mut self, directory: Inode, name: &OsStr) -> Result<(), Errno> {
        let inode = self.find(directory, name)?;
        if self.directory(inode).is_ok_and(|directory| !directory.entries.is_empty()) {
            return Err(Errno::ENOTEMPTY);
        }
        self.directory_mut(directory)?.change(Change::Unlink(name.to_owned()));
        Ok(())
    }

    /// Within one directory; what has the name `to` is replaced.
    pub fn rename(&mut self, directory: Inode, from: &OsStr, to: &OsStr) -> Result<(), Errno> {
        self.find(directory, from)?;
        self.directory_mut(directory)?.change(Change::Rename(from.to_owned(), to.to_owned()));
        Ok(())
    }

    pub fn write(&mut self, inode: Inode, offset: u64, bytes: &[u8]) -> Result<(), Errno> {
        self.file_mut(inode)?.write(offset, bytes);
        Ok(())
    }

    pub fn resize(&mut self, inode: Inode, size: u64) -> Result<(), Errno> {
        self.file_mut(inode)?.resize(size);
        Ok(())
    }

    /// Modes are not what is tested here: they are kept at once.
    pub fn set_mode(&mut self, inode: Inode, mode: u16) -> Result<(), Errno> {
        self.node_mut(inode)?.mode = mode;
        Ok(())
    }

    pub fn sync(&mut self, inode: Inode) -> Result<(), Errno> {
        match &mut self.node_mut(inode)?.content {
            Content::File(file) => file.sync(),
            Content::Directory(directory) => directory.sync(),
            Content::Socket => {}
        }
        Ok(())
    }
}

impl Directory {
    fn change(&mut self, change: Change) {
        apply(&mut self.entries, &change);
        self.unsynced.push(change);
    }

    fn sync(&mut self) {
        self.synced.clone_from(&self.entries);
        self.unsynced.clear();
    }

    fn forget(&mut self, random: &mut StdRng, share: f64) {
        let kept = self.unsynced.iter().take_while(|_| random.random_bool(share)).count();
        self.unsynced[..kept].iter().for_each(|change| apply(&mut self.synced, change));
        self.entries.clone_from(&self.synced);
        self.unsynced.clear();
    }
}

fn apply(entries: &mut BTreeMap<OsString, Inode>, change: &Change) {
    match change {
        Change::Link(name, inode) => {
            entries.insert(name.clone(), *inode);
        }
        Change::Unlink(name) => {
            entries.remove(name);
        }
        Change::Rename(from, to) => {
            let inode = entries.remove(from).expect("what is renamed is there");
            entries.insert(to.clone(), inode);
        }
    }
}

impl File {
    fn read(&self, offset: u64, size: u64) -> Vec<u8> {
        let end = self.size.min(offset + size);
        let mut bytes = Vec::with_capacity(end.saturating_sub(offset) as usize);
        for (page, from, to) in pieces(offset, end) {
            match self.pages.get(&page) {
                Some(page) => bytes.extend_from_slice(&page[from..to]),
                None => bytes.resize(bytes.len() + to - from, 0),
            }
        }
        bytes
    }

    fn find_hole(&self, offset: u64) -> u64 {
        let mut page = offset / PAGE_BYTES;
        while self.pages.contains_key(&page) {
            page += 1;
        }
        (page * PAGE_BYTES).clamp(offset, self.size)
    }

    fn write(&mut self, offset: u64, mut bytes: &[u8]) {
        let end = offset + bytes.len() as u64;
        for (page, from, to) in pieces(offset, end) {
            let (written, rest) = bytes.split_at(to - from);
            self.page(page)[from..to].copy_from_slice(written);
            bytes = rest;
        }
        self.size = self.size.max(end);
    }

    fn resize(&mut self, size: u64) {
        if size < self.size {
            let cut = self.pages.split_off(&size.div_ceil(PAGE_BYTES));
            for (number, page) in cut {
                self.synced.entry(number).or_insert(Some(page));
            }
            self.clear_tail(size);
        }
        self.size = size;
    }

    /// What lies behind the end in its page is zeros, which a file that grows again shows.
    fn clear_tail(&mut self, size: u64) {
        let (page, from) = (size / PAGE_BYTES, (size % PAGE_BYTES) as usize);
        if from > 0 && self.pages.contains_key(&page) {
            self.page(page)[from..].fill(0);
        }
    }

    /// A page that is about to be changed.
    fn page(&mut self, number: u64) -> &mut Page {
        self.synced.entry(number).or_insert_with(|| self.pages.get(&number).cloned());
        self.pages.entry(number).or_insert_with(zeros)
    }

    fn sync(&mut self) {
        self.synced.clear();
        self.synced_size = self.size;
    }

    fn forget(&mut self, random: &mut StdRng, share: f64) {
        for (number, synced) in std::mem::take(&mut self.synced) {
            let mut is_hole = synced.is_none();
            let mut page = synced.unwrap_or_else(zeros);
            let written = self.pages.remove(&number).unwrap_or_else(zeros);
            for sector in (0..PAGE_BYTES as usize).step_by(SECTOR_BYTES) {
                if random.random_bool(share) {
                    page[sector..sector + SECTOR_BYTES].copy_from_slice(&written[sector..sector + SECTOR_BYTES]);
                    is_hole = false;
                }
            }
            if !is_hole {
                self.pages.insert(number, page);
            }
        }
        let size = if random.random_bool(share) { self.size } else { self.synced_size };
        // Longer than it is, so that what lies behind the end is taken away.
        self.size = u64::MAX;
        self.resize(size);
        self.sync();
    }
}

fn zeros() -> Page {
    Box::new([0; PAGE_BYTES as usize])
}

/// What `start .. end` has of each page: its number, and from where to where.
fn pieces(start: u64, end: u64) -> impl Iterator<Item = (u64, usize, usize)> {
    let pages = if start < end { start / PAGE_BYTES..end.div_ceil(PAGE_BYTES) } else { 0..0 };
    pages.map(move |page| {
        let first = page * PAGE_BYTES;
        (page, start.saturating_sub(first) as usize, (end - first).min(PAGE_BYTES) as usize)
    })
}
