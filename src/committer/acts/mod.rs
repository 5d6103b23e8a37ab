//! What people do besides writing messages. [`perform`] tells the acts apart; each file does those of one subject.

mod contact;
mod forward;
mod group;
mod joining;
mod message;
mod own;
pub mod perform;
