//! What has been promised and what has been seen, by everybody together; and the checks of it (I1-I5). All stands in one
//! [`book`]: what is [sent](sending) and what is [seen](seeing), as a [`sight`], is checked as it comes, and all of it again
//! when all is at [`rest`].

mod book;
mod rest;
mod seeing;
mod sending;
mod sight;

pub use book::Ledger;
pub use sight::{Item, Sight};
