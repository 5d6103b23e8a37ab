//! Numbers and bytes, near the limits that rules are made of.

use arbitrary::{Arbitrary, Result, Unstructured};

/// Numbers that rules are made of.
const EDGES: [u64; 12] = [0, 1, 2, 16, 63, 64, 65, 1 << 14, 1 << 32, (1 << 62) - 1, u64::MAX - 1, u64::MAX];

/// A number of the protocol: mostly a small one, which fits what is under way, at times an edge.
pub fn number(u: &mut Unstructured<'_>) -> Result<u64> {
    let byte = u8::arbitrary(u)?;
    Ok(match byte {
        0..=219 => u64::from(byte % 80),
        220..=249 => EDGES[usize::from(byte) % EDGES.len()],
        _ => u64::arbitrary(u)?,
    })
}

pub fn bytes(u: &mut Unstructured<'_>) -> Result<bytes::Bytes> {
    let len = u.int_in_range(0..=40)?;
    Ok(u.bytes(len.min(u.len()))?.to_vec().into())
}
