use proptest::prelude::*;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use super::*;

/// A header of version 2.
fn binary(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let len = (rest.len() as u16).to_be_bytes();
    [&SIGNATURE[..], &[0x20 | command, family], &len, rest].concat()
}

fn ipv4() -> Vec<u8> {
    binary(1, 0x11, &[192, 0, 2, 7, 10, 0, 0, 1, 0x10, 0, 0x1d, 0xb0])
}

fn ipv6() -> Vec<u8> {
    let person = "2001:db8::7".parse::<Ipv6Addr>().unwrap().octets();
    // With a field behind the addresses.
    binary(1, 0x21, &[&person[..], &[0; 16], &[0; 4], &[0x20, 0, 1, 0]].concat())
}

/// Headers and whom they name.
fn headers() -> Vec<(Vec<u8>, Option<IpAddr>)> {
    let (four, six): (IpAddr, IpAddr) = ([192, 0, 2, 7].into(), "2001:db8::7".parse().unwrap());
    vec![
        (b"PROXY TCP4 192.0.2.7 10.0.0.1 4096 7600\r\n".to_vec(), Some(four)),
        (b"PROXY TCP6 2001:db8::7 ::1 4096 7600\r\n".to_vec(), Some(six)),
        (b"PROXY UNKNOWN\r\n".to_vec(), None),
        (b"PROXY UNKNOWN ffff:f... some words\r\n".to_vec(), None),
        (ipv4(), Some(four)),
        (ipv6(), Some(six)),
        (binary(0, 0, &[]), None),
        (binary(0, 0x11, &[1; 12]), None),
        (binary(1, 0, &[]), None),
        (binary(1, 0x31, &[b'/'; 216]), None),
        (binary(1, 0x31, &[b'/'; MAX_BINARY - FIXED]), None),
    ]
}

#[test]
fn a_header_is_whole_or_all_that_there_is_of_it_belongs_to_it() {
    for (header, person) in headers() {
        for end in 0..header.len() {
            assert_eq!(parse(&header[..end]), Ok(Parsed::Partial), "{end} of {header:?}");
        }
        let with_more = [&header[..], b"\r\nPROXY and more"].concat();
        assert_eq!(parse(&with_more), Ok(Parsed::Whole { len: header.len(), person }));
    }
}

#[test]
fn what_is_no_header_is_said() {
    for other in [&b"HY1\n"[..], b"GET / HTTP/1.1\r\n", b"PROXX"] {
        assert_eq!(parse(other), Err(HeaderError::Missing));
    }
    let long_line = format!("PROXY UNKNOWN {}\r\n", "x".repeat(MAX_LINE));
    assert_eq!(parse(long_line.as_bytes()), Err(HeaderError::TooLong(MAX_LINE)));
    let long = binary(1, 0x31, &[0; MAX_BINARY - FIXED + 1]);
    assert_eq!(parse(&long[..FIXED]), Err(HeaderError::TooLong(MAX_BINARY)), "before it has come");
}

#[test]
fn a_header_that_makes_no_sense_is_malformed() {
    let lines = [
        &b"PROXY UDP4 1.1.1.1 1.1.1.1 1 1\r\n"[..],
        b"PROXY TCP4 ::1 ::1 1 1\r\n",
        b"PROXY TCP4 1.1.1.1 1.1.1.1 1 65536\r\n",
        b"PROXY TCP4 1.1.1.1 1.1.1.1 1\r\n",
        b"PROXY TCP4\r\n",
        b"PROXY \xff\r\n",
    ];
    let binaries = [binary(2, 0x11, &[1; 12]), binary(1, 0x11, &[1; 11]), binary(1, 0x21, &[1; 35])];
    for header in lines.into_iter().chain(binaries.iter().map(Vec::as_slice)) {
        assert!(matches!(parse(header), Err(HeaderError::Malformed(_))), "{header:?}");
    }
}

proptest! {
    #[test]
    fn nothing_panics_and_no_more_than_there_is_is_taken(
        begin in prop_oneof![Just(Vec::new()), Just(LINE.to_vec()), Just(binary(1, 0x11, &[])), Just(SIGNATURE.to_vec())],
        rest in proptest::collection::vec(any::<u8>(), 0..700),
    ) {
        let bytes = [begin, rest].concat();
        if let Ok(Parsed::Whole { len, .. }) = parse(&bytes) {
            prop_assert!(len <= bytes.len().min(MAX_BINARY));
        }
    }
}

#[tokio::test]
async fn what_follows_a_header_stays_in_the_socket_however_it_comes() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    for (header, person) in headers() {
        for pieces in [1, 7, 1000] {
            let mut proxy = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            proxy.set_nodelay(true).unwrap();
            let (mut stream, _) = listener.accept().await.unwrap();
            let said = [&header[..], b"what follows"].concat();
            let saying = async {
                for piece in said.chunks(pieces) {
                    proxy.write_all(piece).await.unwrap();
                    tokio::task::yield_now().await;
                }
                proxy.shutdown().await.unwrap();
            };
            let reading = async {
                let read = read(&mut stream).await.unwrap();
                let mut rest = String::new();
                stream.read_to_string(&mut rest).await.unwrap();
                (read, rest)
            };
            let ((), (read, rest)) = tokio::join!(saying, reading);
            assert_eq!((read, rest.as_str()), (person, "what follows"));
        }
    }
}
