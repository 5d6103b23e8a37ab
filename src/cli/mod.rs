//! What was typed ([`typed`]), what it asks for ([`command`]), and what operators' commands do ([`operate`]).

pub mod command;
pub mod operate;
mod typed;
