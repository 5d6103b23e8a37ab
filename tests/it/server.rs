//! A server as its users run it: the real program, on ports of its own, over a data directory of its own. What is said to
//! it over the native port is in [`super::wire`].

use std::{
    ffi::OsStr,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::{Arc, Condvar, Mutex},
    thread,
    time::{Duration, Instant},
};

use hongyan::{
    edge::admin::socket_path,
    session::operator::{Request, Response},
};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// How long anything may take before a test fails.
pub const DEADLINE: Duration = Duration::from_secs(20);
/// The program under test.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_hongyan");

/// A running `hongyan serve`. Dropping it kills the process and removes the data.
pub struct TestServer {
    data: TempDir,
    process: Process,
}

/// What belongs to one run of the program.
struct Process {
    child: Child,
    native: SocketAddr,
    http: SocketAddr,
    stderr: Stderr,
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl TestServer {
    /// A server with the defaults, but on free ports.
    pub fn start() -> Self {
        Self::with("")
    }

    /// A server configured by TOML; ports and data directory are given by flags.
    pub fn with(config: &str) -> Self {
        let data = tempfile::Builder::new().prefix("hy").tempdir().unwrap();
        Self::on(data, config)
    }

    /// A server on a data directory that may hold something already.
    pub fn on(data: TempDir, config: &str) -> Self {
        std::fs::write(data.path().join("test.toml"), config).unwrap();
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let process = run(data.path(), any, any).unwrap();
        Self { data, process }
    }

    /// The native port.
    pub fn address(&self) -> SocketAddr {
        self.process.native
    }

    /// The HTTP port.
    pub fn http(&self) -> SocketAddr {
        self.process.http
    }

    pub fn pid(&self) -> u32 {
        self.process.child.id()
    }

    /// The data directory.
    pub fn data(&self) -> &Path {
        self.data.path()
    }

    pub fn config_path(&self) -> PathBuf {
        self.data.path().join("test.toml")
    }

    // ------------------------------------------------------------ its life

    /// `kill -9`, and waits until it is gone.
    pub fn kill(&mut self) {
        self.process.child.kill().unwrap();
        self.process.child.wait().unwrap();
    }

    /// SIGTERM, and waits for the exit.
    pub fn terminate(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.wait()
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.process.child), signal).unwrap();
    }

    /// Waits for the exit.
    pub fn wait(&mut self) -> ExitStatus {
        eventually("the server has exited", || self.process.child.try_wait().unwrap())
    }

    /// Starts the program again on the same data and the same ports. It must not be running.
    pub fn restart(&mut self) {
        // A client's own connection may hold the port for a moment.
        eventually("the ports are free again", || match self.try_restart() {
            Err(error) if error.contains("cannot listen") => None,
            started => {
                started.unwrap();
                Some(())
            }
        });
    }

    /// The same where it may not come up; Err: what it wrote to stderr before it gave up.
    pub fn try_restart(&mut self) -> Result<(), String> {
        self.process = run(self.data.path(), self.process.native, self.process.http)?;
        Ok(())
    }

    /// The same with another configuration.
    pub fn restart_with(&mut self, config: &str) {
        std::fs::write(self.config_path(), config).unwrap();
        self.restart();
    }

    // ------------------------------------------------------------ what it says

    /// What it has written to stderr so far.
    pub fn stderr(&self) -> String {
        self.process.stderr.text.0.lock().unwrap().clone()
    }

    /// Waits until stderr has `text`.
    pub fn wait_for_log(&self, text: &str) {
        let (log, more) = &*self.process.stderr.text;
        let log = log.lock().unwrap();
        let (log, waited) = more.wait_timeout_while(log, DEADLINE, |log| !log.contains(text)).unwrap();
        assert!(!waited.timed_out(), "{text:?} was not logged:\n{log}");
    }

    /// Nothing in it has panicked, and it is well.
    pub fn assert_healthy(&self) {
        let stderr = self.stderr();
        assert!(!stderr.contains("panicked"), "{stderr}");
        let (status, _) = self.get("/healthz");
        assert_eq!(status, 200);
    }

    /// A GET on the HTTP port: status and body.
    pub fn get(&self, path: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(self.process.http).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
        let (_, body) = answer.split_once("\r\n\r\n").expect("a response has a head");
        (status.expect("a response has a status"), body.to_owned())
    }

    /// A counter or gauge of /metrics; 0 if it has no line.
    pub fn metric(&self, name: &str) -> u64 {
        let (_, text) = self.get("/metrics");
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.map_or(0, |value| value.trim().parse::<f64>().unwrap() as u64)
    }

    /// Waits until a counter or gauge has a value.
    pub fn wait_for_metric(&self, name: &str, value: u64) {
        eventually(&format!("{name} is {value}"), || (self.metric(name) == value).then_some(()));
    }

    /// Memory that the process has in use, in bytes.
    pub fn rss(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a process has VmRSS");
        line.trim().trim_end_matches(" kB").trim().parse::<u64>().unwrap() * 1024
    }

    // ------------------------------------------------------------ operators

    /// Asks through the admin socket, which is quicker than running the program.
    pub fn admin(&self, request: &Request) -> Response {
        let mut stream = UnixStream::connect(socket_path(self.data.path())).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        let mut line = serde_json::to_vec(request).unwrap();
        line.push(b'\n');
        stream.write_all(&line).unwrap();
        let mut answer = String::new();
        BufReader::new(stream).read_line(&mut answer).unwrap();
        serde_json::from_str(&answer).unwrap()
    }

    /// A token of an hour for a user, who exists from now on.
    pub fn token(&self, uid: &str) -> String {
        self.token_for(uid, None, 3600)
    }

    /// A token for one device, or for a time in seconds.
    pub fn token_for(&self, uid: &str, device: Option<&str>, ttl_s: u64) -> String {
        let request = Request::MintToken { uid: uid.into(), ttl_s, device: device.map(Into::into) };
        match self.admin(&request) {
            Response::Token(token) => token,
            other => panic!("{other:?}"),
        }
    }

    pub fn add_user(&self, uid: &str, password: &str) {
        let request = Request::AddUser { uid: uid.into(), password: Some(password.into()) };
        assert!(matches!(self.admin(&request), Response::Done));
    }

    /// Runs `hongyan ARGS --data DIR --config FILE`, whether or not the server runs.
    pub fn command(&self, args: &[&str]) -> Output {
        self.command_with_input(args, "")
    }

    /// The same with something on stdin.
    pub fn command_with_input(&self, args: &[&str], input: &str) -> Output {
        let config = self.config_path();
        let place = [OsStr::new("--data"), self.data.path().as_ref(), OsStr::new("--config"), config.as_ref()];
        program(args.iter().map(OsStr::new).chain(place), input)
    }
}

/// Runs the program to its end.
pub fn program<A: AsRef<OsStr>>(args: impl IntoIterator<Item = A>, input: &str) -> Output {
    let mut command = command();
    let mut child = command.args(args).stdin(Stdio::piped()).spawn().unwrap();
    // A program that does not read its input may be gone already.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

/// Polls until there is something; for what sends no event.
pub fn eventually<T>(what: &str, mut poll: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + DEADLINE;
    loop {
        if let Some(found) = poll() {
            return found;
        }
        assert!(Instant::now() < deadline, "not within {DEADLINE:?}: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// The program, undisturbed by the variables of whoever runs the tests.
fn command() -> Command {
    let mut command = Command::new(PROGRAM);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("HONGYAN_") {
            command.env_remove(name);
        }
    }
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).stdin(Stdio::null());
    command
}

/// Starts a server; Err: what it wrote to stderr before it gave up.
fn run(data: &Path, native: SocketAddr, http: SocketAddr) -> Result<Process, String> {
    let mut command = command();
    command.arg("serve").arg("--data").arg(data).arg("--config").arg(data.join("test.toml"));
    command.args(["--listen", &native.to_string(), "--http", &http.to_string()]);
    let mut child = command.spawn().unwrap();
    let stderr = Stderr::collect(child.stderr.take().expect("stderr is a pipe"));
    let mut ready = String::new();
    BufReader::new(child.stdout.take().expect("stdout is a pipe")).read_line(&mut ready).unwrap();
    let addresses = ready.trim_end().strip_prefix("ready native=").and_then(|rest| rest.split_once(" http="));
    let Some((native, http)) = addresses else {
        let _ = child.wait();
        return Err(stderr.rest());
    };
    let (native, http) = (native.parse().unwrap(), http.parse().unwrap());
    Ok(Process { child, native, http, stderr })
}

/// What a process writes to stderr, collected by a thread, so that it never has to wait for a reader.
struct Stderr {
    text: Arc<(Mutex<String>, Condvar)>,
    reader: thread::JoinHandle<()>,
}

impl Stderr {
    fn collect(pipe: impl Read + Send + 'static) -> Self {
        let text = Arc::new((Mutex::new(String::new()), Condvar::new()));
        let collected = text.clone();
        let reader = thread::spawn(move || {
            for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                let (text, more) = &*collected;
                text.lock().unwrap().extend([&line, "\n"]);
                more.notify_all();
            }
        });
        Self { text, reader }
    }

    /// Everything, once the process has ended.
    fn rest(self) -> String {
        self.reader.join().unwrap();
        std::mem::take(&mut *self.text.0.lock().unwrap())
    }
}
