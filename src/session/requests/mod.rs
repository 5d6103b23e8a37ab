//! Answering REQUESTs. Each looks only at what belongs to the asking user; what is not theirs looks as if it were not
//! there. [`answer`] picks the function that answers, which sees what the [`asker`] may see.

pub(super) mod answer;
pub(super) mod asker;
mod conversations;
mod groups;
mod history;
mod people;
mod status;
