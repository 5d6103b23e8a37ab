//! The PROXY protocol, versions 1 and 2 (haproxy.org, proxy-protocol.txt): what a proxy says before anything else on a
//! connection. Exactly its bytes are taken from the socket, so that what follows is left to whoever serves the connection.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use tokio::{io::AsyncReadExt as _, net::TcpStream};

/// The longest line of version 1, its end included.
const MAX_LINE: usize = 107;
/// The longest header of version 2 that is taken: what the smallest segment of TCP carries.
const MAX_BINARY: usize = 536;
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// What stands before the addresses in version 2: signature, version and command, family, length.
const FIXED: usize = 16;
const LINE: &[u8] = b"PROXY ";

/// Why a trusted proxy's connection cannot be served.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    #[error("no PROXY header: the proxy has to send one, or proxies.* has to say that it does not")]
    Missing,
    #[error("the PROXY header is longer than {0} bytes")]
    TooLong(usize),
    #[error("the PROXY header cannot be read: {0}")]
    Malformed(&'static str),
}

/// What the first bytes of a connection are.
#[derive(Debug, PartialEq, Eq)]
pub enum Parsed {
    /// All of them belong to a header that is not complete.
    Partial,
    /// So many are the header. No address: the proxy speaks for itself.
    Whole { len: usize, person: Option<IpAddr> },
}

/// Reads a header, and nothing behind it.
///
/// # Errors
/// `InvalidData` with a [`HeaderError`]; or what the connection failed with.
pub async fn read(stream: &mut TcpStream) -> io::Result<Option<IpAddr>> {
    let (mut header, mut len) = ([0; MAX_BINARY], 0);
    loop {
        let peeked = stream.peek(&mut header[len..]).await?;
        if peeked == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let parsed =
            parse(&header[..len + peeked]).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        let end = match parsed {
            Parsed::Partial => len + peeked,
            Parsed::Whole { len, .. } => len,
        };
        stream.read_exact(&mut header[len..end]).await?;
        len = end;
        if let Parsed::Whole { person, .. } = parsed {
            return Ok(person);
        }
    }
}

/// Looks for a header at the beginning of `bytes`.
pub fn parse(bytes: &[u8]) -> Result<Parsed, HeaderError> {
    let begins = |with: &[u8]| bytes.iter().zip(with).all(|(byte, expected)| byte == expected);
    if begins(&SIGNATURE) {
        return parse_binary(bytes);
    }
    if begins(LINE) { parse_line(bytes) } else { Err(HeaderError::Missing) }
}

fn parse_line(bytes: &[u8]) -> Result<Parsed, HeaderError> {
    let seen = &bytes[..bytes.len().min(MAX_LINE)];
    let Some(end) = seen.windows(2).position(|pair| pair == b"\r\n") else {
        return if seen.len() == MAX_LINE { Err(HeaderError::TooLong(MAX_LINE)) } else { Ok(Parsed::Partial) };
    };
    let line = str::from_utf8(&seen[..end]).map_err(|_| HeaderError::Malformed("it is no text"))?;
    let mut words = line.split(' ').skip(1);
    let family = words.next().unwrap_or_default();
    let words: Vec<_> = words.collect();
    let person = match (family, words.as_slice()) {
        ("UNKNOWN", _) => None,
        ("TCP4", [from, to, ports @ ..]) => Some(IpAddr::V4(pair::<Ipv4Addr>(from, to, ports)?)),
        ("TCP6", [from, to, ports @ ..]) => Some(IpAddr::V6(pair::<Ipv6Addr>(from, to, ports)?)),
        ("TCP4" | "TCP6", _) => return Err(HeaderError::Malformed("an address is missing")),
        _ => return Err(HeaderError::Malformed("the family is none of TCP4, TCP6 and UNKNOWN")),
    };
    Ok(Parsed::Whole { len: end + 2, person })
}

/// The first of two addresses, which must have two ports.
fn pair<A: std::str::FromStr>(from: &str, to: &str, ports: &[&str]) -> Result<A, HeaderError> {
    let is_whole = to.parse::<A>().is_ok() && ports.len() == 2 && ports.iter().all(|port| port.parse::<u16>().is_ok());
    let address = from.parse().map_err(|_| HeaderError::Malformed("an address is not of its family"))?;
    if is_whole { Ok(address) } else { Err(HeaderError::Malformed("it needs two addresses and two ports")) }
}

fn parse_binary(bytes: &[u8]) -> Result<Parsed, HeaderError> {
    let Some(fixed) = bytes.first_chunk::<FIXED>() else { return Ok(Parsed::Partial) };
    let [version_and_command, family, len @ ..] = [fixed[12], fixed[13], fixed[14], fixed[15]];
    let end = FIXED + usize::from(u16::from_be_bytes(len));
    if end > MAX_BINARY {
        return Err(HeaderError::TooLong(MAX_BINARY));
    }
    let speaks_for_itself = match version_and_command {
        0x20 => true,
        0x21 => false,
        _ => return Err(HeaderError::Malformed("its version is not 2, or its command unknown")),
    };
    let Some(addresses) = bytes.get(FIXED..end) else { return Ok(Parsed::Partial) };
    let person = match family >> 4 {
        _ if speaks_for_itself => None,
        1 if addresses.len() >= 12 => addresses.first_chunk::<4>().map(|from| IpAddr::from(*from)),
        2 if addresses.len() >= 36 => addresses.first_chunk::<16>().map(|from| IpAddr::from(*from)),
        1 | 2 => return Err(HeaderError::Malformed("it is too short for its addresses")),
        // Unspecified, or a Unix socket.
        _ => None,
    };
    Ok(Parsed::Whole { len: end, person })
}

#[cfg(test)]
mod tests;
