//! Logins: what they ask.

use bytes::Bytes;
use hongyan_proto::{DeviceName, Uid, canary};

use super::{
    malformed::Malformed,
    message::{self, login::Who as Asker},
};
use crate::{
    base::number::{DeviceNo, UserNo},
    ops::{
        id::{AcceptNo, OpId},
        op::{Credential, Login, Who},
    },
};

impl From<Login> for message::Login {
    fn from(Login { op, who, next_hash, accepted }: Login) -> Self {
        let next_hash = Bytes::copy_from_slice(&next_hash);
        let accepted = if canary::is("order-of-logins-not-carried") { 0 } else { accepted.0 };
        Self { op: op.into(), who: Some(who.into()), next_hash, accepted }
    }
}

impl TryFrom<message::Login> for Login {
    type Error = Malformed;

    fn try_from(message::Login { op, who, next_hash, accepted }: message::Login) -> Result<Self, Malformed> {
        Ok(Self {
            op: OpId::try_from(op)?,
            who: who.ok_or(Malformed::Missing("login.who"))?.try_into()?,
            next_hash: hash(&next_hash, "login.next_hash")?,
            accepted: AcceptNo(accepted),
        })
    }
}

impl From<Who> for Asker {
    fn from(who: Who) -> Self {
        match who {
            Who::Credential(credential) => Asker::Credential(credential.into()),
            Who::Resume { user, device, hash, cursor } => {
                let hash = Bytes::copy_from_slice(&hash);
                Asker::Resume(message::Resume { user: user.0, device: device.0, hash, cursor })
            }
        }
    }
}

impl TryFrom<Asker> for Who {
    type Error = Malformed;

    fn try_from(who: Asker) -> Result<Self, Malformed> {
        Ok(match who {
            Asker::Credential(credential) => Who::Credential(credential.try_into()?),
            Asker::Resume(message::Resume { user, device, hash: random, cursor }) => {
                let hash = hash(&random, "resume.hash")?;
                Who::Resume { user: UserNo(user), device: DeviceNo(device), hash, cursor }
            }
        })
    }
}

fn hash(bytes: &[u8], what: &'static str) -> Result<[u8; 32], Malformed> {
    bytes.try_into().map_err(|_| Malformed::Hash { what, len: bytes.len() })
}

impl From<Credential> for message::Credential {
    fn from(credential: Credential) -> Self {
        Self {
            uid: credential.uid.to_string(),
            by_token: credential.by_token,
            token_epoch: credential.token_epoch,
            issued_at_s: credential.issued_at_s,
            device: credential.device.to_string(),
            device_epoch: credential.device_epoch,
            cursor: credential.cursor,
            log_epoch: credential.log_epoch,
            last_send_no: credential.last_send_no,
            answered_send_no: credential.answered_send_no,
            from_head: credential.from_head,
            ephemeral: credential.ephemeral,
        }
    }
}

impl TryFrom<message::Credential> for Credential {
    type Error = Malformed;

    fn try_from(credential: message::Credential) -> Result<Self, Malformed> {
        Ok(Self {
            uid: Uid::new(&credential.uid)?,
            by_token: credential.by_token,
            token_epoch: credential.token_epoch,
            issued_at_s: credential.issued_at_s,
            device: DeviceName::new(&credential.device)?,
            device_epoch: credential.device_epoch,
            cursor: credential.cursor,
            log_epoch: credential.log_epoch,
            last_send_no: credential.last_send_no,
            answered_send_no: credential.answered_send_no,
            from_head: credential.from_head,
            ephemeral: credential.ephemeral,
        })
    }
}
