//! What a message carries inside its content, so that it can be checked on arrival: who sent it, which one it is, when it
//! was meant to leave, and a filling that both ends know.

use rand::{Rng, SeedableRng, rngs::StdRng};

/// The stamp's bytes at the head of a content.
const STAMP_BYTES: usize = 24;
const MAGIC: [u8; 4] = *b"HYb1";

/// The identity of one message of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The number of the sending user.
    pub sender: u32,
    /// Dense from 0, for one sender and one receiver.
    pub number: u64,
    /// When it was meant to be sent, in nanoseconds since the start of the run.
    pub intended: u64,
}

/// Writes and checks contents of one size.
pub struct Stationery {
    filling: Vec<u8>,
}

impl Stationery {
    /// Contents of `bytes` bytes, at least 24, filled from `seed`.
    pub fn new(bytes: usize, seed: u64) -> Self {
        let mut filling = vec![0; bytes.saturating_sub(STAMP_BYTES)];
        StdRng::seed_from_u64(seed).fill_bytes(&mut filling);
        Self { filling }
    }

    /// The two parts of a content: the stamp and what follows it.
    pub fn write(&self, stamp: Stamp) -> ([u8; STAMP_BYTES], &[u8]) {
        let mut head = [0; STAMP_BYTES];
        head[..4].copy_from_slice(&MAGIC);
        head[4..8].copy_from_slice(&stamp.sender.to_le_bytes());
        head[8..16].copy_from_slice(&stamp.number.to_le_bytes());
        head[16..].copy_from_slice(&stamp.intended.to_le_bytes());
        (head, &self.filling)
    }

    /// The stamp of a content of this run; none if a single byte of the rest is not as it was sent.
    pub fn read(&self, content: &[u8]) -> Option<Stamp> {
        let (head, filling) = content.split_first_chunk::<STAMP_BYTES>()?;
        if head[..4] != MAGIC || filling != self.filling {
            return None;
        }
        let number = |at: usize| u64::from_le_bytes(*head[at..].first_chunk().expect("the head has 24 bytes"));
        Some(Stamp { sender: number(4) as u32, number: number(8), intended: number(16) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_content_is_read_back_and_a_changed_one_is_not() {
        let stationery = Stationery::new(100, 7);
        let stamp = Stamp { sender: u32::MAX - 1, number: 1 << 40, intended: u64::MAX };
        let (head, filling) = stationery.write(stamp);
        let content = [&head[..], filling].concat();
        assert_eq!(content.len(), 100);
        assert_eq!(stationery.read(&content), Some(stamp));
        let mut changed = content.clone();
        changed[99] ^= 1;
        assert_eq!(stationery.read(&changed), None);
        assert_eq!(stationery.read(&content[..99]), None);
        assert_eq!(Stationery::new(100, 8).read(&content), None, "of another run");
    }
}
