//! What a rule comes to: it is done, or it stops, refused or by the store. What each stop means for the sender is decided
//! where a SEND is staged (`stage`).

use hongyan_proto::wire::NackCode;

use super::op::Refusal;
use crate::store::StoreError;

/// What an act has come to.
#[derive(Default)]
pub struct Done {
    /// Its number in the conversation; 0: it has none.
    pub cseq: u64,
    /// The group it made.
    pub group: u64,
}

/// Why an operation did not happen.
pub enum Stop {
    /// For good: the SEND's number is used up.
    Refused(Refusal),
    /// For now: the same SEND may come again.
    Store(StoreError),
}

/// What a rule that may refuse comes to.
pub type Ruled<T> = Result<T, Stop>;

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// Refuses what does not hold.
pub fn ensure(holds: bool, code: NackCode, reason: &'static str) -> Ruled<()> {
    if holds { Ok(()) } else { refused(code, reason) }
}

pub fn refused<T>(code: NackCode, reason: &'static str) -> Ruled<T> {
    Err(Stop::Refused(Refusal { code, reason }))
}

/// Done, without a number in the conversation.
pub fn done() -> Ruled<Done> {
    Ok(Done::default())
}

/// Done, and announced under this number.
pub fn announced(cseq: u64) -> Ruled<Done> {
    Ok(Done { cseq, group: 0 })
}
