//! `chat`: a conversation, line by line. [`mod@run`] is the loop; [`mod@line`] says what was typed, [`view`] decides what
//! is shown, [`screen`] shows it and brings what is typed.

mod line;
mod run;
mod screen;
mod view;

pub use run::run;
