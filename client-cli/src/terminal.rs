//! The few things that are asked of a terminal: whether there is one, a hidden line, its state for putting it back, and
//! whether somebody wants this program to end.

use std::io::{self, BufRead, IsTerminal, Write};

use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};
use tokio::signal::unix::{SignalKind, signal};

use crate::exit::Failure;

/// Whether a question can be asked.
pub fn is_interactive() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// The terminal as it is now; put back when this is dropped.
pub struct Saved(Option<Termios>);

impl Saved {
    pub fn now() -> Self {
        Self(tcgetattr(io::stdin()).ok())
    }
}

impl Drop for Saved {
    fn drop(&mut self) {
        if let Some(termios) = &self.0 {
            let _ = tcsetattr(io::stdin(), OptionalActions::Flush, termios);
        }
    }
}

/// Asks for a line.
pub fn ask(question: &str) -> io::Result<String> {
    let mut err = io::stderr().lock();
    err.write_all(question.as_bytes())?;
    err.flush()?;
    let mut line = String::new();
    io::stdin().read_line(&mut line)?;
    Ok(line.trim_end_matches(['\n', '\r']).to_owned())
}

/// Asks for a line that is not shown while it is typed. Ctrl-C comes here as a character, not as a signal, which would
/// leave the terminal without echo.
pub fn ask_hidden(question: &str) -> io::Result<String> {
    let mut hidden = tcgetattr(io::stdin())?;
    let saved = Saved::now();
    hidden.local_modes.remove(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG);
    hidden.special_codes[SpecialCodeIndex::VMIN] = 1;
    hidden.special_codes[SpecialCodeIndex::VTIME] = 0;
    tcsetattr(io::stdin(), OptionalActions::Flush, &hidden)?;
    let mut err = io::stderr();
    err.write_all(question.as_bytes())?;
    let line = read_keys(io::stdin().lock());
    drop(saved);
    err.write_all(b"\n")?;
    line
}

/// One line of single keys, with the few that edit it.
fn read_keys(input: impl BufRead) -> io::Result<String> {
    const CTRL_C: u8 = 3;
    const CTRL_D: u8 = 4;
    const CTRL_U: u8 = 21;
    let mut line = Vec::new();
    for key in input.bytes() {
        match key? {
            b'\n' | b'\r' => break,
            CTRL_C => return Err(io::Error::new(io::ErrorKind::Interrupted, "given up")),
            CTRL_D if line.is_empty() => break,
            CTRL_U => line.clear(),
            8 | 127 => {
                // Back to the start of the last character, which may be several bytes.
                while line.pop().is_some_and(|byte| byte & 0xC0 == 0x80) {}
            }
            byte => line.push(byte),
        }
    }
    String::from_utf8(line).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "what was typed is not UTF-8"))
}

/// Returns when a person or the system asks this program to end.
pub async fn interrupted() -> Result<(), Failure> {
    let failed = |error| Failure::local("cannot watch for signals", error);
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    tokio::select! {
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidden_lines_can_be_edited_and_given_up() {
        for (keys, line) in [
            ("abc\nrest", "abc"),
            ("abc\r", "abc"),
            ("wrong\x15right\n", "right"),
            ("a雁\x7f\x7f\x7fb\n", "b"),
            ("\x04", ""),
        ] {
            assert_eq!(read_keys(keys.as_bytes()).unwrap(), line, "{keys:?}");
        }
        assert_eq!(read_keys(&b"ab\x03"[..]).unwrap_err().kind(), io::ErrorKind::Interrupted);
        assert!(read_keys(&b"\xff\n"[..]).is_err());
    }
}
