//! Input that is nearly right: a `value` at the limits that rules are made of, a `frame` of such values, a `stream` of such
//! frames with a few bytes changed. What users ask for, mostly of things that are there, is [`asked`].

pub mod asked;
mod frame;
mod stream;
mod value;

pub use frame::{from_client, from_server};
pub use stream::{mutate, noise, stream};
pub use value::number;
