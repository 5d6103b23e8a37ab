//! What a turn has brought: notes that are written into the notebook together, at its end.

use super::notebook::Note;

#[derive(Default)]
pub struct Round(Vec<Note>);

impl Round {
    pub fn push(&mut self, note: Note) {
        self.0.push(note);
    }

    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// All of it, in the order in which it came.
    pub fn drain(&mut self) -> impl Iterator<Item = Note> {
        self.0.drain(..)
    }

    /// Where in the log it brings the device, if it moves it.
    pub fn cursor(&self) -> Option<u64> {
        self.0.iter().rev().find_map(|note| match note {
            Note::Cursor(cursor) | Note::Reset { head: cursor, .. } => Some(*cursor),
            _ => None,
        })
    }

    /// Where in a large group it brings the device, if it moves it.
    pub fn place(&self, group: u64) -> Option<u64> {
        self.0.iter().rev().find_map(|note| match note {
            Note::Place { group: of, cseq } if *of == group => Some(*cseq),
            _ => None,
        })
    }
}
