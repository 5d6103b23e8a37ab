//! One login of one run: takes a slot, connects, and says what a person wants to know meanwhile.

use std::{collections::HashMap, time::Duration};

use hongyan_client::{Client, Credential, ErrorKind, Event, Events, StartAt};

use crate::{
    args::Global,
    exit::{Exit, Failure},
    frames::trace::tracer,
    output::Output,
    setup::Setup,
    slot::{self, Devices, Family, Slot},
    terminal,
    text::{count, harmless},
};

/// Silence before a person is told what is being waited for.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long a run that only asks something waits for an earlier run's messages to be sent.
const FINISH_TIME: Duration = Duration::from_secs(5);

/// How the frames are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trace {
    Off,
    Frames,
    Bodies,
}

impl Trace {
    /// Contents are only shown along with their frames.
    pub fn new(global: &Global) -> Self {
        match (global.trace, global.trace_bodies) {
            (_, true) => Trace::Bodies,
            (true, false) => Trace::Frames,
            (false, false) => Trace::Off,
        }
    }
}

/// What a command needs to log in.
pub struct Login {
    pub setup: Setup,
    pub output: Output,
    pub trace: Trace,
}

/// Logged in.
pub struct Session {
    pub client: Client,
    pub events: Events,
    /// The name of the slot.
    pub slot: String,
    /// Messages of an earlier run that this one finishes.
    pub left: Vec<u64>,
    /// How far each peer was known to have received and read the conversation when the run began.
    pub received: HashMap<String, (u64, u64)>,
}

impl Login {
    pub fn devices(&self) -> Devices {
        Devices::new(&self.setup.state, &self.setup.server, &self.setup.uid)
    }

    /// Logs in as a device of `family`. Senders and chats begin at the head of the log: what came before is history.
    pub async fn open(&self, family: Family) -> Result<Session, Failure> {
        let start = if family == Family::Reader { StartAt::Remembered } else { StartAt::Head };
        let device = self.setup.device.clone();
        let slot = || match (&device, self.setup.ephemeral) {
            (_, true) => Ok(slot::ephemeral(device.clone())),
            (Some(device), false) => self.devices().named(device.clone()),
            (None, false) => self.devices().take(family),
        };
        self.connect(slot, start, self.setup.ephemeral).await
    }

    /// Logs in as a device for this one run, whatever the set-up says.
    pub async fn open_ephemeral(&self, start: StartAt) -> Result<Session, Failure> {
        self.connect(|| Ok(slot::ephemeral(self.setup.device.clone())), start, true).await
    }

    async fn connect(
        &self,
        slot: impl Fn() -> Result<Slot, Failure>,
        start: StartAt,
        ephemeral: bool,
    ) -> Result<Session, Failure> {
        let first = slot()?;
        match self.try_connect(first, start, ephemeral, self.setup.credential.clone()).await {
            Err(error) if *error.kind() == ErrorKind::LoginRequired => {
                if !terminal::is_interactive() {
                    let uid = &self.setup.uid;
                    let what = format!(
                        "no free device of {uid} on this machine can come back without logging in: give --token-file or \
                         --password-stdin, or run `hongyan-cli login`"
                    );
                    return Err(Failure::new(Exit::LoginRefused, what));
                }
                let password = terminal::ask_hidden(&format!("Password of {}: ", self.setup.uid))?;
                let credential = Credential::Password(password.into());
                Ok(self.try_connect(slot()?, start, ephemeral, credential).await?)
            }
            result => Ok(result?),
        }
    }

    async fn try_connect(
        &self,
        slot: Slot,
        start: StartAt,
        ephemeral: bool,
        credential: Credential,
    ) -> Result<Session, hongyan_client::ClientError> {
        let Slot { name, device, store, left, received } = slot;
        let setup = &self.setup;
        let mut builder = Client::builder(&setup.server)
            .device(device.as_str())
            .uid(setup.uid.as_str())
            .credential(credential)
            .store(store)
            .start(start)
            .ephemeral(ephemeral)
            .agent(concat!("hongyan-cli/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(setup.connect_timeout);
        if let Some(ca) = &setup.ca {
            builder = builder.ca_file(ca);
        }
        if self.trace != Trace::Off {
            builder = builder.frame_trace(tracer(self.trace == Trace::Bodies));
        }
        let connecting = builder.connect();
        tokio::pin!(connecting);
        let connected = tokio::select! {
            connected = &mut connecting => connected,
            () = tokio::time::sleep(PATIENCE) => {
                self.output.note(&format!("connecting to {} …", setup.server));
                connecting.await
            }
        };
        let (client, events) = connected?;
        Ok(Session { client, events, slot: name, left, received })
    }
}

impl Session {
    /// Runs `work` while the events of this device are taken and dropped: for commands that show none. Ends with the
    /// client's own failure if it stops first.
    pub async fn with_events_dropped<T>(
        mut self,
        output: Output,
        work: impl AsyncFnOnce(&Client) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let client = self.client.clone();
        let left = std::mem::take(&mut self.left);
        if !left.is_empty() {
            output.note(&format!("finishing {} of an earlier run", count(left.len(), "message")));
        }
        let mut notes = ConnectionNotes::default();
        let drain = async {
            while let Some(event) = self.events.next().await {
                if let Event::Stopped(error) = event {
                    return Failure::from(error);
                }
                if let Some(note) = notes.of(&event) {
                    output.note(&note);
                }
            }
            Failure::new(Exit::Refused, "the client has stopped")
        };
        let all = async {
            let result = work(&client).await;
            finish(&client, &left, output).await;
            result
        };
        let result = tokio::select! {
            biased;
            result = all => result,
            failure = drain => Err(failure),
        };
        client.close().await;
        result
    }
}

/// Waits a little for the answers to an earlier run's messages, and tells of those that were refused.
async fn finish(client: &Client, left: &[u64], output: Output) {
    let answers = async {
        for &send_no in left {
            if let Err(error) = client.wait(send_no).await {
                output.error(&format!("message {send_no} of an earlier run: {error}"));
            }
        }
    };
    if tokio::time::timeout(FINISH_TIME, answers).await.is_err() {
        output.error("messages of an earlier run are still unanswered; the next `send` goes on with them");
    }
}

/// What a person should know about the connection. The first login is what they asked for, and goes without saying;
/// while it is gone, each reason is told once.
#[derive(Default)]
pub struct ConnectionNotes {
    told: Vec<String>,
}

impl ConnectionNotes {
    pub fn is_down(&self) -> bool {
        !self.told.is_empty()
    }

    pub fn of(&mut self, event: &Event) -> Option<String> {
        match event {
            Event::Disconnected { reason, .. } if self.told.contains(reason) => None,
            Event::Disconnected { reason, retry_in } => {
                self.told.push(reason.clone());
                let wait = retry_in.as_secs_f64();
                let soon = if wait < 1.0 { String::new() } else { format!(" in {wait:.1} s") };
                Some(format!("reconnecting{soon}: {}", harmless(reason)))
            }
            Event::Connected { .. } if self.is_down() => {
                self.told.clear();
                Some("connected".into())
            }
            Event::Reset => Some("the server's log was reset; older messages are in the history".into()),
            _ => None,
        }
    }
}
