//! Answering REQUESTs. Each looks only at what belongs to the asking user; what is not theirs looks as if it were not
//! there.

mod answer;
mod asker;
mod conversations;
mod groups;
mod history;
mod people;
mod status;

pub use answer::answer;
