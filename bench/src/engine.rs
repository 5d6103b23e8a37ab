//! All connections of a run on one thread and one epoll: sockets and timers.
//!
//! An own loop and not an async runtime: the load generator must cost a fraction of what it measures, and a wait must end
//! to the microsecond, which a timer of whole milliseconds cannot do.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    num::NonZeroU64,
    os::fd::OwnedFd,
};

use hongyan_proto::wire::act::What;
use rustix::{
    buffer::spare_capacity,
    event::epoll::{self, CreateFlags, EventData, EventFlags},
    io::Errno,
    time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime},
};
use socket2::{Domain, Protocol, Socket, Type};

use crate::{
    device::{Device, Event, To},
    link::{Link, Reading},
    run::Run,
    stamp::Stamp,
    traffic::Traffic,
};

const READ_BYTES: usize = 256 * 1024;
const EVENTS_AT_ONCE: usize = 1024;
/// What epoll names the timer by.
const TIMER: u64 = u64::MAX;
/// Connections from one loopback address: an address has about 28,000 ports for them.
const PER_SOURCE: u32 = 20_000;
/// By how much the kernel may delay a wake-up, in nanoseconds.
const TIMER_SLACK: NonZeroU64 = NonZeroU64::new(1000).expect("it is not zero");

/// The connections. Links are numbered in the order of [`Engine::add`].
pub struct Engine<'run> {
    pub run: &'run Run,
    pub traffic: Traffic,
    epoll: OwnedFd,
    timer: OwnedFd,
    /// The moment the timer is set to.
    timer_at: Option<u64>,
    links: Vec<Link>,
    /// Links with something to write.
    dirty: Vec<u32>,
    /// The moments at which links have something to do; entries that are not a link's `armed` any more are stale.
    timeouts: BinaryHeap<Reverse<(u64, u32)>>,
    ready: Vec<epoll::Event>,
    buffer: Box<[u8]>,
    scratch: Vec<Event>,
}

impl<'run> Engine<'run> {
    pub fn new(run: &'run Run) -> io::Result<Self> {
        rustix::thread::set_current_timer_slack(Some(TIMER_SLACK))?;
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
        epoll::add(&epoll, &timer, EventData::new_u64(TIMER), EventFlags::IN | EventFlags::ET)?;
        Ok(Self {
            run,
            traffic: Traffic::default(),
            epoll,
            timer,
            timer_at: None,
            links: Vec::new(),
            dirty: Vec::new(),
            timeouts: BinaryHeap::new(),
            ready: Vec::with_capacity(EVENTS_AT_ONCE),
            buffer: vec![0; READ_BYTES].into(),
            scratch: Vec::new(),
        })
    }

    /// A link for the device of `user`, not connected yet.
    pub fn add(&mut self, user: u32) -> u32 {
        self.links.push(Link::new(Device::new(user)));
        (self.links.len() - 1) as u32
    }

    pub fn device(&self, link: u32) -> &Device {
        &self.links[link as usize].device
    }

    /// Connects and logs in, or resumes; the outcome is an event.
    pub fn connect(&mut self, link: u32) -> io::Result<()> {
        let socket = open_socket(self.run.target, link)?;
        let flags = EventFlags::IN | EventFlags::OUT;
        epoll::add(&self.epoll, &socket, EventData::new_u64(link.into()), flags)?;
        self.links[link as usize].connected_by(socket, self.run)
    }

    /// Drops the connection without a word.
    pub fn cut(&mut self, link: u32) {
        self.links[link as usize].disconnect();
    }

    /// Ends the connection with a CLOSE, everything acked.
    pub fn leave(&mut self, link: u32) {
        let now = self.run.now();
        self.links[link as usize].device.leave(now);
        self.mark(link);
    }

    pub fn send(&mut self, link: u32, to: impl Into<To>, stamp: Stamp) {
        self.links[link as usize].device.send(self.run, to.into(), stamp);
        self.mark(link);
    }

    /// Does something in a conversation; it is answered like a message.
    pub fn act(&mut self, link: u32, to: String, what: What) {
        let now = self.run.now();
        self.links[link as usize].device.act(to, what, now);
        self.mark(link);
    }

    fn mark(&mut self, link: u32) {
        let state = &mut self.links[link as usize];
        if !state.is_dirty {
            state.is_dirty = true;
            self.dirty.push(link);
        }
    }

    /// Waits until something has come, or the moment `until`; appends what has happened to `events`.
    pub fn poll(&mut self, until: u64, events: &mut Vec<(u32, Event)>) -> io::Result<()> {
        self.flush()?;
        let next = self.timeouts.peek().map_or(until, |Reverse((due, _))| until.min(*due));
        self.wait(next)?;
        let now = self.run.now();
        let mut ready = std::mem::take(&mut self.ready);
        for event in ready.drain(..) {
            // The event is packed: its fields are copied, not borrowed.
            let (name, flags) = ({ event.data }.u64(), { event.flags });
            if name == TIMER {
                self.timer_at = None;
                continue;
            }
            let link = name as u32;
            if flags.intersects(EventFlags::IN | EventFlags::ERR | EventFlags::HUP) {
                self.read(link, now, events);
            }
            if flags.contains(EventFlags::OUT) {
                self.mark(link);
            }
        }
        self.ready = ready;
        self.handle_timeouts(now);
        self.flush()
    }

    fn wait(&mut self, next: u64) -> io::Result<()> {
        let now = self.run.now();
        let zero = Timespec { tv_sec: 0, tv_nsec: 0 };
        let mut timeout = None;
        if next <= now {
            timeout = Some(&zero);
        } else if self.timer_at != Some(next) {
            let wait = next - now;
            let it_value = Timespec { tv_sec: (wait / 1_000_000_000) as i64, tv_nsec: (wait % 1_000_000_000) as i64 };
            timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &Itimerspec { it_interval: zero, it_value })?;
            self.timer_at = Some(next);
        }
        match epoll::wait(&self.epoll, spare_capacity(&mut self.ready), timeout) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    fn read(&mut self, link: u32, now: u64, events: &mut Vec<(u32, Event)>) {
        let state = &mut self.links[link as usize];
        let reading = Reading { run: self.run, buffer: &mut self.buffer, now, traffic: &mut self.traffic };
        state.read(reading, &mut self.scratch);
        events.extend(self.scratch.drain(..).map(|event| (link, event)));
        if state.has_output() {
            self.mark(link);
        }
        self.arm(link);
    }

    /// Notes when the link has something to do next, if that is sooner than what is noted.
    fn arm(&mut self, link: u32) {
        let state = &mut self.links[link as usize];
        if let Some(due) = state.device.poll_timeout()
            && due < state.armed
        {
            state.armed = due;
            self.timeouts.push(Reverse((due, link)));
        }
    }

    fn handle_timeouts(&mut self, now: u64) {
        while let Some(&Reverse((due, link))) = self.timeouts.peek()
            && due <= now
        {
            self.timeouts.pop();
            let state = &mut self.links[link as usize];
            if state.armed != due {
                continue;
            }
            state.armed = u64::MAX;
            state.device.handle_timeout(now);
            if state.has_output() {
                self.mark(link);
            }
            self.arm(link);
        }
    }

    /// Writes what waits, one call a link.
    pub fn flush(&mut self) -> io::Result<()> {
        let now = self.run.now();
        let mut dirty = std::mem::take(&mut self.dirty);
        for link in dirty.drain(..) {
            let state = &mut self.links[link as usize];
            state.is_dirty = false;
            let wanted_out = state.wants_out;
            state.write(now, &mut self.traffic);
            if state.wants_out != wanted_out
                && let Some(socket) = &state.socket
            {
                let flags = if state.wants_out { EventFlags::IN | EventFlags::OUT } else { EventFlags::IN };
                epoll::modify(&self.epoll, socket, EventData::new_u64(link.into()), flags)?;
            }
            self.arm(link);
        }
        self.dirty = dirty;
        Ok(())
    }
}

/// A socket that is connecting. Towards loopback the links take turns with source addresses.
fn open_socket(target: SocketAddr, link: u32) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(target), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    socket.set_tcp_nodelay(true)?;
    if target.ip() == IpAddr::from(Ipv4Addr::LOCALHOST) && link >= PER_SOURCE {
        let source = Ipv4Addr::from(Ipv4Addr::LOCALHOST.to_bits() + link / PER_SOURCE);
        socket.bind(&SocketAddr::from((source, 0)).into())?;
    }
    match socket.connect(&target.into()) {
        Ok(()) => Ok(socket),
        Err(error) if error.raw_os_error() == Some(Errno::INPROGRESS.raw_os_error()) => Ok(socket),
        Err(error) => Err(error),
    }
}
