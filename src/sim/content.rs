//! What every message and edit contains: a mark and a number, by which the book knows it wherever it is found.

use bytes::{BufMut, Bytes, BytesMut};
use memchr::memmem;

/// What every content begins with; its number follows.
const MARK: [u8; 4] = [0xFE, 0xED, 0xF0, 0x0D];

/// The content of a number, with `filler` more bytes.
pub fn make(number: u32, filler: usize) -> Bytes {
    let mut content = BytesMut::new();
    content.put_slice(&MARK);
    content.put_u32(number);
    content.put_bytes(b'.', filler);
    content.freeze()
}

/// The number of a content, if it is one.
pub fn number(content: &[u8]) -> Option<u32> {
    Some(u32::from_be_bytes(*content.get(MARK.len()..)?.first_chunk()?))
}

/// The numbers of the contents that a row of the store holds.
pub fn numbers_in(row: &[u8]) -> impl Iterator<Item = u32> {
    memmem::find_iter(row, &MARK).filter_map(|at| number(&row[at..]))
}
