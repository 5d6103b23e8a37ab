//! The few things that are asked of a terminal: whether there is one, a hidden line, and its state for putting it back.

use std::io::{self, IsTerminal, Write};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

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

/// Asks for a line that is not shown while it is typed.
pub fn ask_hidden(question: &str) -> io::Result<String> {
    let mut hidden = tcgetattr(io::stdin())?;
    let saved = Saved::now();
    hidden.local_modes.remove(LocalModes::ECHO);
    hidden.local_modes.insert(LocalModes::ECHONL | LocalModes::ICANON | LocalModes::ISIG);
    tcsetattr(io::stdin(), OptionalActions::Flush, &hidden)?;
    let line = ask(question);
    drop(saved);
    line
}
