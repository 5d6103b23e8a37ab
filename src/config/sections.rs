//! The settings themselves: what each means, its unit, its default, and what happens at the limit.
//!
//! The lists of keys that verify tokens are in [`super::token_keys`]; rules between settings in [`super::validate`].

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use super::{
    kind::{Addresses, Count, FilePath, LogFilter, Name, OneOf, Origins, Size, Span, Switch, Unless},
    proxies::Proxies,
    setting::settings,
    token_keys::{TokenKey, TokenKeys},
};

/// The protocol's own limit.
const MAX_FRAME: u64 = hongyan_proto::codec::MAX_FRAME as u64;
const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

settings! {
    /// The whole configuration of a server.
    Config {
        /// Where the native protocol listens. Port 0 takes a free one, which the ready line names.
        /// Several addresses have commas between them. [::] takes IPv4 too, unless an IPv4 address with the same port is
        /// among them. Anything but loopback needs TLS (the section tls), or tls.allow_plaintext_off_loopback.
        listen: Vec<SocketAddr> = vec![([127, 0, 0, 1], 7600).into()], Addresses;
        /// Where HTTP listens, in the same form: the web's ways in under /v1, and /healthz, /readyz and /metrics. "off" disables it.
        /// With a certificate (the section tls) it speaks HTTPS, on loopback plain HTTP too. Anything but loopback needs
        /// one, or tls.allow_plaintext_off_loopback. Keep /metrics from the public: it asks for no login.
        http: Option<Vec<SocketAddr>> = Some(vec![([127, 0, 0, 1], 7680).into()]), Unless { word: "off", kind: Addresses };
        /// The directory of the store, of the key that signs tokens, and of the admin socket.
        /// It is created when missing. A relative path starts from the working directory.
        data: PathBuf = "./hongyan-data".into(), FilePath;
        /// The server's name, the issuer and audience of its tokens unless auth.iss and auth.aud say otherwise.
        server_name: String = "hongyan".to_owned(), Name;
    }
    sections {
        tls: Tls,
        proxies: Proxies,
        limits: Limits,
        web: Web,
        heartbeat: Heartbeat,
        delivery: Delivery,
        auth: Auth,
        store: Store,
        retention: Retention,
        messages: Messages,
        groups: Groups,
        contacts: Contacts,
        drain: Drain,
        log: Log,
    }
}

impl Config {
    /// The issuer (`iss`) that a token must have.
    pub fn issuer(&self) -> &str {
        self.auth.iss.as_deref().unwrap_or(&self.server_name)
    }

    /// The audience (`aud`) that a token must have.
    pub fn audience(&self) -> &str {
        self.auth.aud.as_deref().unwrap_or(&self.server_name)
    }
}

settings! {
    /// Encryption of the native port and of HTTP. Certificate and key are read again on SIGHUP.
    Tls {
        /// The certificate chain, a PEM file. Empty: no TLS.
        cert: Option<PathBuf> = None, Unless { word: "", kind: FilePath };
        /// The private key of the certificate, a PEM file. Empty: no TLS.
        key: Option<PathBuf> = None, Unless { word: "", kind: FilePath };
        /// Whether to listen off loopback without TLS. Everyone on the path can then read and alter passwords, tokens
        /// and messages. The flag --insecure-plaintext sets it.
        allow_plaintext_off_loopback: bool = false, Switch;
    }
}

settings! {
    /// What one server, one address and one user may use.
    Limits {
        /// Connections open at once. Beyond it new connections wait in the listen queue of the operating system.
        /// Each takes one file descriptor: keep `ulimit -n` at least 500 above.
        max_connections: u64 = 10_000, Count(1..=1_000_000);
        /// Connections that have not logged in yet, in total. Beyond it a new connection is closed at once.
        max_unauthenticated: u64 = 1024, Count(1..=1_000_000);
        /// The same from one IP address, loopback too.
        max_unauthenticated_per_ip: u64 = 64, Count(1..=1_000_000);
        /// From the accept to a finished login, TLS included. Heartbeats do not extend it; then the connection is closed.
        login_timeout: Duration = 5 * SECOND, Span(SECOND..=MINUTE);
        /// The largest frame after login, as LEN counts it. A longer one closes the connection before it is read.
        /// Before login the limit is always 4KiB.
        max_frame: u64 = 64 * KIB, Size(16 * KIB..=MAX_FRAME);
        /// The largest content of one message. A larger one is refused; the connection lives.
        /// At least 1KiB below max_frame, for what surrounds the content.
        max_content: u64 = 32 * KIB, Size(1..=MIB);
        /// Entries pushed to a device and not yet acked. At the limit pushing waits for acks; nothing is dropped.
        /// A device may leave up to 15 of its own messages unacked, which count too.
        push_window: u64 = 64, Count(16..=1024);
        /// Messages that a device may have sent and not yet got an answer for.
        /// A message beyond it is the client's mistake and closes the connection.
        send_window: u64 = 64, Count(1..=256);
        /// Messages a second that one user may send on average, over all devices.
        /// Beyond it a message is refused with the time to wait; the connection lives.
        messages_per_second: u64 = 1000, Count(1..=1_000_000);
        /// Messages that one user may send at once after a quiet time.
        messages_burst: u64 = 10_000, Count(1..=1_000_000);
        /// Failed logins a minute from one IP address. Beyond it logins from there are refused for a
        /// while; no account is ever locked.
        logins_per_minute_per_ip: u64 = 30, Count(1..=1_000_000);
        /// Accounts in all, whoever makes them: the operator, a token for somebody new, a registration, a message to a user
        /// that nobody has seen. Beyond it there is nobody new; those who are there go on.
        accounts: u64 = 10_000_000, Count(1..=1_000_000_000);
        /// Devices remembered for one user. A login from one more is refused until an old one is forgotten.
        devices_per_user: u64 = 64, Count(1..=1024);
        /// Devices of one user connected at once. A login beyond it is refused.
        channels_per_user: u64 = 16, Count(1..=1024);
        /// Bytes of messages accepted and not yet committed, over all users.
        /// At the limit the server stops reading from senders until a commit has made room.
        committer_queue: u64 = 64 * MIB, Size(MIB..=16 * GIB);
    }
}

settings! {
    /// The web's ways in: WebSocket, event streams, polling, requests.
    Web {
        /// Other origins whose pages may use this server, such as "https://chat.example.com", with commas between them.
        /// Pages of the server's own origin always may.
        origins: Vec<String> = Vec::new(), Origins;
        /// Whether the chat page is served at /.
        page: bool = true, Switch;
        /// Whether anybody may make an account with a name and a password by POST /v1/register.
        registration: bool = false, Switch;
        /// HTTP connections open at once, WebSockets included. Beyond it new ones wait in the listen queue.
        max_connections: u64 = 8_000, Count(1..=1_000_000);
        /// The same from one IP address. Beyond it a new one is closed at once. A trusted proxy's are not counted by address.
        max_connections_per_ip: u64 = 2_000, Count(1..=1_000_000);
        /// Devices that are present by HTTP at once. A login beyond it is refused as overloaded.
        max_devices: u64 = 10_000, Count(1..=1_000_000);
        /// Requests a second that one device may make by HTTP on average.
        requests_per_second: u64 = 100, Count(1..=1_000_000);
        /// Requests that one device may make by HTTP at once after a quiet time.
        requests_burst: u64 = 1000, Count(1..=1_000_000);
        /// How long a device counts as present without a request or an open stream. Its next request brings it back.
        poll_grace: Duration = MINUTE, Span(SECOND..=HOUR);
        /// How long an event stream may be silent before a comment shows that it is alive.
        heartbeat: Duration = 25 * SECOND, Span(SECOND..=10 * MINUTE);
        /// How long a ticket is good for, which opens one stream in place of a token.
        ticket_ttl: Duration = 30 * SECOND, Span(SECOND..=10 * MINUTE);
    }
}

settings! {
    /// How often a silent client must show that it is alive. The client proposes, the server keeps within these bounds.
    Heartbeat {
        /// Proposed to a client that asks for nothing else.
        interval: Duration = 60 * SECOND, Span(SECOND..=HOUR);
        /// The shortest interval accepted.
        min: Duration = 10 * SECOND, Span(SECOND..=HOUR);
        /// The longest interval accepted.
        max: Duration = 600 * SECOND, Span(SECOND..=HOUR);
    }
}

settings! {
    /// How pushed entries are followed up. Nothing here loses an entry: what is not acked is pushed after the next login.
    Delivery {
        /// How long a push may stay unacked before the device is probed.
        ack_timeout: Duration = 3 * SECOND, Span(100 * MS..=MINUTE);
        /// How often the oldest unacked entries are pushed again to a device that answers probes, each time after twice
        /// the wait; then the connection is closed as too slow.
        retransmits: u64 = 3, Count(0..=10);
        /// How long a device may lag behind, alive but without any progress, before the connection is closed.
        lagging_timeout: Duration = 5 * MINUTE, Span(SECOND..=HOUR);
        /// How long a delivered receipt waits for others to join it. 0ms sends each at once.
        receipt_delay: Duration = 500 * MS, Span(Duration::ZERO..=MINUTE);
    }
}

settings! {
    /// Who may log in, by token (a JWT) or by password.
    Auth {
        /// The issuer a token must name. Empty: server_name.
        iss: Option<String> = None, Unless { word: "", kind: Name };
        /// The audience a token must name. Empty: server_name.
        aud: Option<String> = None, Unless { word: "", kind: Name };
        /// How far another clock may be off when a token's times are checked.
        clock_leeway: Duration = 30 * SECOND, Span(Duration::ZERO..=10 * MINUTE);
        /// Whether a message to a user that nobody has ever seen is kept for them. false: it is refused as NOT_FOUND.
        accept_unknown_recipients: bool = false, Switch;
        /// How long a device can resume after it was last connected; later it logs in again.
        resume_ttl: Duration = 14 * DAY, Span(MINUTE..=365 * DAY);
        /// Memory for one password hash (argon2id). At most two are computed at once, one where there are fewer than four
        /// cores.
        password_memory: u64 = 19 * MIB, Size(19 * MIB..=GIB);
        /// Passes over that memory.
        password_passes: u64 = 2, Count(2..=16);
        /// Keys of an app's backend that mints tokens, beside the server's own key in the data directory. Each is
        /// { kid = "app", alg = "HS256", secret_file = "app.secret" } (at least 32 bytes) or
        /// { kid = "app", alg = "EdDSA", public_key_file = "app.pem" }; it may also be written as [[auth.keys]].
        keys: Vec<TokenKey> = Vec::new(), TokenKeys;
    }
}

/// When a message counts as durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sync {
    /// On stable storage: an acknowledged message survives a power cut.
    Always,
    /// As `Os`, and on stable storage soon after.
    Interval,
    /// In the operating system's hands: it survives a crash of the server, not of the machine.
    Os,
}

settings! {
    /// The durable store in the data directory.
    Store {
        /// When a message is acknowledged, and what a crash of the machine or a power cut can take back afterwards.
        /// "always": when it is on stable storage. Nothing acknowledged is lost.
        /// "interval": when the operating system has it; synced at the latest sync_interval later. The messages, logins
        /// and changes of accounts of the last sync_interval can be lost.
        /// "os": when the operating system has it, which writes it when it likes, usually within half a minute.
        /// All since then can be lost.
        /// A crash of the server alone loses nothing in any of them, and a clean stop syncs. After a power cut that may
        /// have lost something, every device logs in again and compares its place in the log with the server's.
        sync: Sync = Sync::Always,
            OneOf(&[("always", Sync::Always), ("interval", Sync::Interval), ("os", Sync::Os)]);
        /// With sync = "interval": the longest time between an acknowledgement and its sync.
        sync_interval: Duration = 100 * MS, Span(MS..=10 * SECOND);
        /// Commits begin at least this far apart while messages come one by one, so that one sync serves several: CPU time
        /// against latency. A sender who waits for each answer is not kept waiting. 0ms commits at once.
        gather: Duration = MS, Span(Duration::ZERO..=100 * MS);
        /// Memory for blocks of the store that were read.
        cache: u64 = 64 * MIB, Size(MIB..=64 * GIB);
        /// Disk space for the write-ahead journal. A larger one makes the start after a crash slower.
        journal: u64 = 128 * MIB, Size(64 * MIB..=16 * GIB);
        /// Bodies that were taken back, edited or have expired leave the store's files after so long at the latest, as
        /// soon as the server runs. For that the table of messages is written anew, which takes as much disk space for a
        /// while. `hongyan store compact` does it at once.
        purge_after: Duration = DAY, Span(SECOND..=365 * DAY);
        /// Disk space to keep free. Below it messages are refused and reading goes on.
        reserve: u64 = 64 * MIB, Size(0..=GIB * 1024);
    }
}

settings! {
    /// What is kept, and for how long.
    Retention {
        /// The newest entries of one user's timeline that are kept even after every device has them, for new devices.
        /// Older ones go once every remembered device has acked them; messages stay in their conversations.
        timeline_entries: u64 = 100_000, Count(64..=100_000_000);
        /// A device silent for longer is forgotten and no longer holds trimming back.
        devices_forgotten_after: Duration = 90 * DAY, Span(HOUR..=3650 * DAY);
        /// The same for a device that said at login that it would not come back.
        ephemeral_forgotten_after: Duration = HOUR, Span(MINUTE..=365 * DAY);
    }
}

settings! {
    /// What may be done to a message after it was sent.
    Messages {
        /// For how long an author may edit a message.
        edit_within: Duration = 48 * HOUR, Span(Duration::ZERO..=3650 * DAY);
        /// For how long an author may take a message back. Admins of a group may take back any, at any time.
        recall_within: Duration = 48 * HOUR, Span(Duration::ZERO..=3650 * DAY);
    }
}

settings! {
    /// Groups.
    Groups {
        /// Members of one group.
        max_members: u64 = 100_000, Count(2..=1_000_000);
        /// Members up to which each gets a line in their log for each message. In a larger group a message is one row,
        /// members who are online get it as it is, and the others fetch it when they come. A group that has grown beyond
        /// it stays so.
        fan_out_threshold: u64 = 500, Count(2..=5000);
        /// Members up to which authors learn who has received and read their messages.
        receipts_up_to: u64 = 50, Count(0..=500);
    }
}

settings! {
    /// People who know each other.
    Contacts {
        /// Whether only contacts, who have both agreed to be that, may write to a user or add them to a group. Each user
        /// can decide otherwise.
        required: bool = false, Switch;
    }
}

settings! {
    /// How the server stops on SIGTERM or SIGINT. A second signal exits at once.
    Drain {
        /// The longest time to wait for connections to leave; then the rest are closed. Nothing acknowledged is lost.
        /// It is shorter where the spread leaves every client 2 s to move.
        deadline: Duration = 10 * SECOND, Span(Duration::ZERO..=10 * MINUTE);
        /// Clients are asked to leave at moments spread over this time, so that they do not all come back at once;
        /// 1 ms for each of them if that is less.
        spread: Duration = 5 * SECOND, Span(Duration::ZERO..=10 * MINUTE);
    }
}

/// The shape of the log on stderr.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Lines for people.
    Human,
    /// One JSON object a line.
    Json,
}

settings! {
    /// The log, on stderr. It never contains contents of messages, tokens or passwords.
    Log {
        /// What is logged: off, error, warn, info, debug or trace; or targets with levels, such as
        /// "info,hongyan::link=debug".
        level: String = "info".to_owned(), LogFilter;
        /// "human": lines for people. "json": one JSON object a line.
        format: LogFormat = LogFormat::Human, OneOf(&[("human", LogFormat::Human), ("json", LogFormat::Json)]);
    }
}
