//! A client that speaks HTTP as a test wants it: one request, whole, or as a stream that is read line by line.

use std::{
    io::{BufRead, BufReader, ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use serde_json::Value;

/// How long anything may take before a test fails.
const DEADLINE: Duration = Duration::from_secs(40);

/// An answer whose body has been read.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// It is a success, and this is its body.
    pub fn ok(self) -> Value {
        assert!((200..300).contains(&self.status), "{self:?}");
        if self.body.is_empty() { Value::Null } else { self.json() }
    }

    /// It is a problem of this status and name.
    pub fn expect_problem(&self, status: u16, name: &str) -> Value {
        assert_eq!((self.status, self.header("content-type")), (status, Some("application/problem+json")), "{self:?}");
        let problem = self.json();
        assert_eq!(problem["type"], format!("urn:hongyan:problem:{name}"), "{self:?}");
        assert_eq!(problem["status"], status);
        assert!(problem["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{self:?}");
        problem
    }
}

/// One request to be.
#[derive(Clone)]
pub struct Request {
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Request {
    pub fn get(target: &str) -> Self {
        Self { method: "GET".into(), target: target.into(), headers: Vec::new(), body: Vec::new() }
    }

    /// With a body of JSON.
    pub fn post(target: &str, body: &Value) -> Self {
        Self { method: "POST".into(), body: body.to_string().into(), ..Self::get(target) }
            .header("content-type", "application/json")
    }

    pub fn method(mut self, method: &str) -> Self {
        self.method = method.into();
        self
    }

    pub fn body(mut self, body: &[u8]) -> Self {
        self.body = body.into();
        self
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    pub fn bearer(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    fn bytes(&self) -> Vec<u8> {
        let mut head = format!("{} {} HTTP/1.1\r\nhost: localhost\r\n", self.method, self.target);
        for (name, value) in &self.headers {
            head += &format!("{name}: {value}\r\n");
        }
        head += &format!("content-length: {}\r\n\r\n", self.body.len());
        [head.as_bytes(), &self.body].concat()
    }

    /// Sends it on a connection of its own and reads the whole answer.
    pub fn send(self, address: SocketAddr) -> Answer {
        self.try_send(address).unwrap()
    }

    /// The same against a server that may be gone.
    pub fn try_send(self, address: SocketAddr) -> std::io::Result<Answer> {
        let mut stream = self.header("connection", "close").try_open(address)?;
        let body = stream.rest()?;
        Ok(Answer { status: stream.status, headers: std::mem::take(&mut stream.headers), body })
    }

    /// Sends it and reads the head; the body comes by [`Stream::line`].
    pub fn open(self, address: SocketAddr) -> Stream {
        self.try_open(address).unwrap()
    }

    /// Sends it and does not wait for an answer.
    pub fn begin(self, address: SocketAddr) -> TcpStream {
        let mut socket = TcpStream::connect(address).unwrap();
        socket.write_all(&self.bytes()).unwrap();
        socket
    }

    pub fn try_open(self, address: SocketAddr) -> std::io::Result<Stream> {
        let mut socket = TcpStream::connect(address)?;
        socket.set_read_timeout(Some(DEADLINE))?;
        socket.set_nodelay(true)?;
        // A server that refuses early may not read all of it.
        let _ = socket.write_all(&self.bytes());
        Stream::read_head(BufReader::new(socket))
    }
}

/// An answer whose body is still coming.
pub struct Stream {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    reader: BufReader<TcpStream>,
    is_chunked: bool,
    /// Bytes of the body, or of the chunk, that are still to come. None: up to the end of the connection.
    left: Option<usize>,
    is_over: bool,
}

impl Stream {
    fn read_head(mut reader: BufReader<TcpStream>) -> std::io::Result<Self> {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let status = line.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.ok_or(ErrorKind::UnexpectedEof)?;
        let mut headers: Vec<(String, String)> = Vec::new();
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            let Some((name, value)) = line.trim_end().split_once(": ") else { break };
            headers.push((name.into(), value.into()));
        }
        let find = |wanted: &str| headers.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str());
        let is_chunked = find("transfer-encoding") == Some("chunked");
        let left = if is_chunked { Some(0) } else { find("content-length").and_then(|len| len.parse().ok()) };
        let is_over = status == 204 || status == 304 || (left == Some(0) && !is_chunked);
        Ok(Self { status, headers, reader, is_chunked, left, is_over })
    }

    /// The next line of the body, without its end. None: the body is over, or the connection broke.
    pub fn line(&mut self) -> Option<String> {
        let mut line = Vec::new();
        loop {
            match self.byte() {
                Ok(Some(b'\n')) => return Some(String::from_utf8(line).unwrap()),
                Ok(Some(byte)) => line.push(byte),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    panic!("no line within {DEADLINE:?}")
                }
                Ok(None) | Err(_) => return None,
            }
        }
    }

    fn rest(&mut self) -> std::io::Result<String> {
        let mut body = Vec::new();
        while let Some(byte) = self.byte()? {
            body.push(byte);
        }
        Ok(String::from_utf8(body).unwrap())
    }

    fn byte(&mut self) -> std::io::Result<Option<u8>> {
        if self.is_chunked && self.left == Some(0) && !self.is_over {
            self.next_chunk()?;
        }
        if self.is_over || (self.left == Some(0) && !self.is_chunked) {
            return Ok(None);
        }
        let mut byte = [0];
        if self.reader.read(&mut byte)? == 0 {
            return Ok(None);
        }
        self.left = self.left.map(|left| left - 1);
        if self.is_chunked && self.left == Some(0) {
            self.reader.read_exact(&mut [0; 2])?;
        }
        Ok(Some(byte[0]))
    }

    fn next_chunk(&mut self) -> std::io::Result<()> {
        let mut size = String::new();
        if self.reader.read_line(&mut size)? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let size = usize::from_str_radix(size.trim_end(), 16).unwrap();
        self.left = Some(size);
        self.is_over = size == 0;
        Ok(())
    }

    /// The next event of an event stream: its id, if it has one, and its data. None: the stream is over.
    pub fn event(&mut self) -> Option<(Option<String>, Value)> {
        let mut id = None;
        let mut data = None;
        loop {
            let line = self.line()?;
            match line.split_once(": ") {
                Some(("id", value)) => id = Some(value.to_owned()),
                Some(("data", value)) => data = Some(serde_json::from_str(value).unwrap()),
                _ if line.is_empty() && data.is_some() => return Some((id, data?)),
                _ => {}
            }
        }
    }

    /// The next line that is no heartbeat, as JSON.
    pub fn json(&mut self) -> Option<Value> {
        loop {
            let line = self.line()?;
            if !line.is_empty() {
                return Some(serde_json::from_str(&line).unwrap());
            }
        }
    }
}
