//! `compare`: the same conversation over every way in, one after the other, and what each costs. [`measure`] does it with
//! what [`ways`] hear over connections that are [`counted`] and with the server's [`cpu`]; a [`row`] is what it finds.

mod counted;
mod cpu;
mod measure;
mod row;
mod ways;

pub use measure::run;
