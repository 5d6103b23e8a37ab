//! The protocol made readable: [`capture`] cuts bytes into pieces, [`view`] tells what a frame says, [`trace`] shows
//! those of a live connection. The `frames` command shows those of a file.

pub mod capture;
pub mod trace;
pub mod view;

pub use capture::{Capture, Piece, What};
pub use view::View;

#[cfg(test)]
mod tests;
