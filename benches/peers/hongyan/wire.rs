//! Frames and the little protobuf they need, written and read by hand.

pub fn frame(out: &mut Vec<u8>, kind: u8, body: impl FnOnce(&mut Vec<u8>)) {
    let at = out.len();
    out.extend_from_slice(&[0, 0, 0, kind]);
    body(out);
    let len = (out.len() - at - 3) as u32;
    out[at..at + 3].copy_from_slice(&len.to_be_bytes()[1..]);
}

fn varint(out: &mut Vec<u8>, mut v: u64) {
    while v >= 0x80 {
        out.push(v as u8 | 0x80);
        v >>= 7;
    }
    out.push(v as u8);
}

pub fn num(out: &mut Vec<u8>, tag: u8, v: u64) {
    out.push(tag << 3);
    varint(out, v);
}

pub fn bytes(out: &mut Vec<u8>, tag: u8, v: &[u8]) {
    out.push(tag << 3 | 2);
    varint(out, v.len() as u64);
    out.extend_from_slice(v);
}

pub enum Val<'a> {
    Num(u64),
    Bytes(&'a [u8]),
    Fixed(u32),
}

const BAD: &str = "hongyan: a body is not protobuf";

fn read_varint(b: &mut &[u8]) -> Result<u64, &'static str> {
    let mut v = 0;
    for i in 0..10 {
        let (&x, rest) = b.split_first().ok_or(BAD)?;
        *b = rest;
        v |= ((x & 127) as u64) << (7 * i);
        if x < 128 {
            return Ok(v);
        }
    }
    Err(BAD)
}

fn take<'a>(b: &mut &'a [u8], n: usize) -> Result<&'a [u8], &'static str> {
    if b.len() < n {
        return Err(BAD);
    }
    let (head, rest) = b.split_at(n);
    *b = rest;
    Ok(head)
}

pub fn fields<'a>(mut b: &'a [u8], mut f: impl FnMut(u64, Val<'a>) -> Result<(), &'static str>) -> Result<(), &'static str> {
    while !b.is_empty() {
        let key = read_varint(&mut b)?;
        let v = match key & 7 {
            0 => Val::Num(read_varint(&mut b)?),
            2 => {
                let n = read_varint(&mut b)? as usize;
                Val::Bytes(take(&mut b, n)?)
            }
            5 => Val::Fixed(u32::from_le_bytes(take(&mut b, 4)?.try_into().unwrap())),
            1 => {
                take(&mut b, 8)?;
                continue;
            }
            _ => return Err(BAD),
        };
        f(key >> 3, v)?;
    }
    Ok(())
}

pub fn first_num(b: &[u8]) -> Result<u64, &'static str> {
    let mut n = 0;
    fields(b, |tag, v| {
        if let (1, Val::Num(v)) = (tag, v) {
            n = v;
        }
        Ok(())
    })?;
    Ok(n)
}

/// "u12": as long as the topics of the other protocols.
pub fn uid(user: u32, buf: &mut [u8; 11]) -> &[u8] {
    let (mut i, mut v) = (buf.len(), user);
    loop {
        i -= 1;
        buf[i] = b'0' + (v % 10) as u8;
        v /= 10;
        if v == 0 {
            break;
        }
    }
    i -= 1;
    buf[i] = b'u';
    &buf[i..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_frames() {
        assert_eq!(uid(0, &mut [0; 11]), b"u0");
        assert_eq!(uid(u32::MAX, &mut [0; 11]), b"u4294967295");
        let mut out = vec![];
        frame(&mut out, 0x08, |b| num(b, 1, 300));
        assert_eq!(out, [0, 0, 4, 8, 8, 0xAC, 2]);
    }
}
