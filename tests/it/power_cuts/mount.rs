//! The disk that forgets, mounted by FUSE so that a real server can have its data on it. It takes /dev/fuse, and root or
//! the program fusermount3.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex, MutexGuard},
    time::{Duration, SystemTime},
};

use fuser::{
    BackgroundSession, BsdFileFlags, Config, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation,
    INodeNo, LockOwner, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory, ReplyEmpty,
    ReplyEntry, ReplyLseek, ReplyStatfs, ReplyWrite, Request, TimeOrNow, WriteFlags,
};
use rand::rngs::StdRng;
use rustix::process::{getgid, getuid};

use super::disk::{Content, Directory, Disk, File, Inode, Node};

/// How long the kernel may remember names and sizes, which nobody changes behind its back.
const TTL: Duration = Duration::from_secs(60);
const BLOCK_BYTES: u32 = 4096;
/// 64 GiB.
const FREE_BLOCKS: u64 = 1 << 24;
/// The bits of a mode that say what something is, and those of a socket.
const KIND: u32 = 0o170_000;
const SOCKET: u32 = 0o140_000;
/// Where a hole begins, as Linux numbers what `lseek` is asked for.
const SEEK_HOLE: i32 = 4;

/// A mounted disk. Dropping it unmounts it.
pub struct Mounted {
    place: PathBuf,
    shared: Arc<Shared>,
    session: Option<BackgroundSession>,
}

struct Shared {
    disk: Mutex<Disk>,
    power_went: Condvar,
}

impl Mounted {
    pub fn new(place: &Path) -> Self {
        let shared = Arc::new(Shared { disk: Mutex::new(Disk::new()), power_went: Condvar::new() });
        let session = Some(mount(&shared, place));
        Self { place: place.to_owned(), shared, session }
    }

    /// The power goes after so many changes and syncs.
    pub fn cut_after(&self, changes: u64) {
        self.shared.disk().cut_after(changes);
    }

    pub fn is_off(&self) -> bool {
        self.shared.disk().is_off()
    }

    /// Waits until the power has gone; it goes now if it has not after `patience`.
    pub fn wait_for_cut(&self, patience: Duration) {
        let disk = self.shared.disk();
        let (mut disk, _) = self.shared.power_went.wait_timeout_while(disk, patience, |disk| !disk.is_off()).unwrap();
        disk.cut();
    }

    /// The power comes back, with a `share` of what was not synced. No process may have anything open.
    pub fn power_on(&mut self, random: &mut StdRng, share: f64) {
        self.unmount();
        self.shared.disk().power_on(random, share);
        self.session = Some(mount(&self.shared, &self.place));
    }

    pub fn unmount(&mut self) {
        if let Some(session) = self.session.take() {
            session.umount_and_join().unwrap();
        }
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        self.unmount();
    }
}

fn mount(shared: &Arc<Shared>, place: &Path) -> BackgroundSession {
    fuser::spawn_mount(Calls(shared.clone()), place, &Config::default()).unwrap_or_else(|error| {
        panic!("this test mounts a file system, for which it needs /dev/fuse, and root or fusermount3: {error}")
    })
}

impl Shared {
    fn disk(&self) -> MutexGuard<'_, Disk> {
        self.disk.lock().unwrap()
    }
}

/// What the kernel calls.
struct Calls(Arc<Shared>);

impl Calls {
    fn on<T>(&self, call: impl FnOnce(&mut Disk) -> Result<T, Errno>) -> Result<T, Errno> {
        let mut disk = self.0.disk();
        let result = call(&mut disk);
        if disk.is_off() {
            self.0.power_went.notify_all();
        }
        result
    }

    fn make(&self, parent: INodeNo, name: &OsStr, mode: u32, content: Content) -> Result<FileAttr, Errno> {
        let node = Node { mode: (mode & 0o7777) as u16, content };
        self.on(|disk| {
            let inode = disk.make(parent.0, name, node)?;
            attributes(disk, inode)
        })
    }
}

fn attributes(disk: &Disk, inode: Inode) -> Result<FileAttr, Errno> {
    let node = disk.node(inode)?;
    let (kind, size) = match &node.content {
        Content::File(file) => (FileType::RegularFile, file.size),
        Content::Directory(_) => (FileType::Directory, 0),
        Content::Socket => (FileType::Socket, 0),
    };
    let time = SystemTime::UNIX_EPOCH;
    Ok(FileAttr {
        ino: INodeNo(inode),
        size,
        blocks: size.div_ceil(512),
        atime: time,
        mtime: time,
        ctime: time,
        crtime: time,
        kind,
        perm: node.mode,
        nlink: 1,
        uid: getuid().as_raw(),
        gid: getgid().as_raw(),
        rdev: 0,
        blksize: BLOCK_BYTES,
        flags: 0,
    })
}

fn answer_entry(reply: ReplyEntry, result: Result<FileAttr, Errno>) {
    match result {
        Ok(found) => reply.entry(&TTL, &found, Generation(0)),
        Err(error) => reply.error(error),
    }
}

fn answer(reply: ReplyEmpty, result: Result<(), Errno>) {
    match result {
        Ok(()) => reply.ok(),
        Err(error) => reply.error(error),
    }
}

impl Filesystem for Calls {
    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        answer_entry(reply, self.on(|disk| attributes(disk, disk.find(parent.0, name)?)));
    }

    fn getattr(&self, _: &Request, inode: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        match self.on(|disk| attributes(disk, inode.0)) {
            Ok(found) => reply.attr(&TTL, &found),
            Err(error) => reply.error(error),
        }
    }

    fn setattr(
        &self,
        _: &Request,
        inode: INodeNo,
        mode: Option<u32>,
        _uid: Option<u32>,
        _gid: Option<u32>,
        size: Option<u64>,
        _atime: Option<TimeOrNow>,
        _mtime: Option<TimeOrNow>,
        _ctime: Option<SystemTime>,
        _: Option<FileHandle>,
        _crtime: Option<SystemTime>,
        _chgtime: Option<SystemTime>,
        _bkuptime: Option<SystemTime>,
        _: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let changed = self.on(|disk| {
            if let Some(mode) = mode {
                disk.set_mode(inode.0, (mode & 0o7777) as u16)?;
            }
            if let Some(size) = size {
                disk.resize(inode.0, size)?;
            }
            attributes(disk, inode.0)
        });
        match changed {
            Ok(found) => reply.attr(&TTL, &found),
            Err(error) => reply.error(error),
        }
    }

    fn mknod(&self, _: &Request, parent: INodeNo, name: &OsStr, mode: u32, umask: u32, _rdev: u32, reply: ReplyEntry) {
        let content = if mode & KIND == SOCKET { Content::Socket } else { Content::File(File::default()) };
        answer_entry(reply, self.make(parent, name, mode & !umask, content));
    }

    fn mkdir(&self, _: &Request, parent: INodeNo, name: &OsStr, mode: u32, umask: u32, reply: ReplyEntry) {
        let directory = Content::Directory(Directory::default());
        answer_entry(reply, self.make(parent, name, mode & !umask, directory));
    }

    fn create(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        _flags: i32,
        reply: ReplyCreate,
    ) {
        match self.make(parent, name, mode & !umask, Content::File(File::default())) {
            Ok(made) => reply.created(&TTL, &made, Generation(0), FileHandle(0), FopenFlags::empty()),
            Err(error) => reply.error(error),
        }
    }

    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        answer(reply, self.on(|disk| disk.remove(parent.0, name)));
    }

    fn rmdir(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        answer(reply, self.on(|disk| disk.remove(parent.0, name)));
    }

    fn rename(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        new_parent: INodeNo,
        new_name: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        answer(
            reply,
            self.on(|disk| match flags.is_empty() && parent == new_parent {
                true => disk.rename(parent.0, name, new_name),
                false => Err(Errno::EXDEV),
            }),
        );
    }

    fn read(
        &self,
        _: &Request,
        inode: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        match self.on(|disk| disk.read(inode.0, offset, size.into())) {
            Ok(bytes) => reply.data(&bytes),
            Err(error) => reply.error(error),
        }
    }

    fn write(
        &self,
        _: &Request,
        inode: INodeNo,
        _: FileHandle,
        offset: u64,
        bytes: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        match self.on(|disk| disk.write(inode.0, offset, bytes)) {
            Ok(()) => reply.written(bytes.len() as u32),
            Err(error) => reply.error(error),
        }
    }

    /// The kernel finds every other place by itself.
    fn lseek(&self, _: &Request, inode: INodeNo, _: FileHandle, offset: i64, whence: i32, reply: ReplyLseek) {
        let found = self.on(|disk| match (whence, u64::try_from(offset)) {
            (SEEK_HOLE, Ok(offset)) => disk.find_hole(inode.0, offset),
            _ => Err(Errno::EINVAL),
        });
        match found {
            Ok(found) => reply.offset(found as i64),
            Err(error) => reply.error(error),
        }
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        reply.ok();
    }

    fn fsync(&self, _: &Request, inode: INodeNo, _: FileHandle, _datasync: bool, reply: ReplyEmpty) {
        answer(reply, self.on(|disk| disk.sync(inode.0)));
    }

    fn fsyncdir(&self, _: &Request, inode: INodeNo, _: FileHandle, _datasync: bool, reply: ReplyEmpty) {
        answer(reply, self.on(|disk| disk.sync(inode.0)));
    }

    fn readdir(&self, _: &Request, inode: INodeNo, _: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        let found = self.on(|disk| {
            let mut found = Vec::new();
            for (name, inode) in &disk.directory(inode.0)?.entries {
                found.push((*inode, name.clone(), attributes(disk, *inode)?.kind));
            }
            Ok(found)
        });
        match found {
            Err(error) => reply.error(error),
            Ok(mut found) => {
                // The inode is the place as well, so that nothing is skipped when others are removed meanwhile.
                found.sort_by_key(|(inode, ..)| *inode);
                for (inode, name, kind) in found.into_iter().filter(|(inode, ..)| *inode > offset) {
                    if reply.add(INodeNo(inode), inode, kind, name) {
                        break;
                    }
                }
                reply.ok();
            }
        }
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        let blocks = FREE_BLOCKS;
        reply.statfs(2 * blocks, blocks, blocks, blocks, blocks, BLOCK_BYTES, 255, BLOCK_BYTES);
    }
}
