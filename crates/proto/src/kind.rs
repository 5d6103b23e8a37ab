//! The kinds of frames: the one table of them, from which [`crate::frame`] makes the typed frame too. What a frame looks
//! like on the wire is in [`crate::codec`].

/// Kinds that peers send at random and must ignore, so that nobody comes to depend on the known ones being all.
pub const GREASE: [u8; 2] = [0x2A, 0x3A];

/// Hands the table of frames to the macro `$make`: the number of each, its name and the message that is its body.
/// Who makes something of the bodies imports `wire`.
macro_rules! frames {
    ($make:ident) => {
        $make! {
            /// Client: log in.
            0x01 Hello(wire::Hello),
            /// Server: the login is accepted.
            0x02 Welcome(wire::Welcome),
            /// Client: come back.
            0x03 Resume(wire::Resume),
            /// Server: the resume is accepted.
            0x04 Resumed(wire::Resumed),
            /// Server: login or resume is refused.
            0x05 Reject(wire::Reject),
            /// Both: are you there?
            0x06 Ping(wire::Ping),
            /// Both: here, and everything before the PING has been read.
            0x07 Pong(wire::Pong),
            /// Client: stored up to here.
            0x08 Ack(wire::Ack),
            /// Server: SEND may go on up to here.
            0x09 Credit(wire::Credit),
            /// Server: move to a new connection.
            0x0A GoAway(wire::GoAway),
            /// Both: the last frame.
            0x0B Close(wire::Close),
            /// Client: a message.
            0x10 Send(wire::Send),
            /// Server: it is durable.
            0x11 SendAck(wire::SendAck),
            /// Server: it was not taken.
            0x12 SendNack(wire::SendNack),
            /// Server: an entry of the user's log.
            0x13 Push(wire::Entry),
            /// Both: passing information without a number.
            0x15 Signal(wire::Signal),
            /// Client: a question.
            0x16 Request(wire::Request),
            /// Server: its answer.
            0x17 Response(wire::Response),
            /// Client: push again from here.
            0x19 SyncReq(wire::SyncReq),
            /// Server: this cursor cannot be continued.
            0x1B SyncReset(wire::SyncReset),
        }
    };
}
pub(crate) use frames;

macro_rules! kinds {
    ($($(#[$doc:meta])* $number:literal $name:ident($body:ty),)*) => {
        /// What a frame is: bits 0-5 of its TYPE.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub enum Kind { $($(#[$doc])* $name = $number,)* }

        impl Kind {
            pub const ALL: &[Kind] = &[$(Kind::$name,)*];
        }
    };
}

frames!(kinds);
