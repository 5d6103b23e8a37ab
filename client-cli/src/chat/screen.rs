//! Where a chat is shown and typed: a terminal with a line being edited at the bottom, or plain lines.

use std::{
    io::{self, Write},
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use rustix::termios::tcgetwinsize;
use rustyline::{
    CompletionType, Config, Context, Editor, ExternalPrinter, Helper,
    completion::Completer,
    error::ReadlineError,
    highlight::Highlighter,
    hint::Hinter,
    history::MemHistory,
    validate::{ValidationContext, ValidationResult, Validator},
};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    sync::mpsc,
};
use unicode_width::UnicodeWidthStr;

use crate::{exit::Failure, output::Output};

const PROMPT: &str = "> ";
const QUIT: &str = "/quit";

/// What is typed.
pub enum Input {
    Line(String),
    /// A line is being written.
    Typing,
    /// End of input, Ctrl-C, Ctrl-D or /quit.
    End,
    Broken(String),
}

pub struct Screen {
    input: mpsc::Receiver<Input>,
    out: Out,
}

enum Out {
    Plain(Output),
    /// Lines on their way to the thread that prints above the edited line.
    Terminal {
        lines: std::sync::mpsc::Sender<String>,
        printer: Option<thread::JoinHandle<()>>,
    },
}

impl Screen {
    /// Plain lines on stdin and stdout.
    pub fn plain(output: Output) -> Self {
        let (sender, input) = mpsc::channel(16);
        tokio::spawn(async move {
            let mut lines = BufReader::new(tokio::io::stdin()).lines();
            loop {
                let input = match lines.next_line().await {
                    Ok(Some(line)) if line.trim() == QUIT => Input::End,
                    Ok(Some(line)) => Input::Line(line),
                    Ok(None) => Input::End,
                    Err(error) => Input::Broken(error.to_string()),
                };
                let over = !matches!(input, Input::Line(_));
                if sender.send(input).await.is_err() || over {
                    return;
                }
            }
        });
        Self { input, out: Out::Plain(output) }
    }

    /// A line editor, in a thread of its own because it blocks, and another thread that prints above it.
    pub fn terminal() -> Result<Self, Failure> {
        let failed = |error: ReadlineError| Failure::local("the terminal cannot be used", error);
        let config = Config::builder().auto_add_history(true).completion_type(CompletionType::List).build();
        let mut editor: Editor<Entered, MemHistory> =
            Editor::with_history(config, MemHistory::new()).map_err(failed)?;
        let mut printer = editor.create_external_printer().map_err(failed)?;
        let printed = Arc::new(Mutex::new(0));
        let (sender, input) = mpsc::channel(16);
        let (printed_now, typed) = (Arc::clone(&printed), Mutex::new(String::new()));
        editor.set_helper(Some(Entered { printed: printed_now, at: Mutex::new(None), typed, sender: sender.clone() }));
        let (lines, waiting) = std::sync::mpsc::channel::<String>();
        let printer = {
            let printed = Arc::clone(&printed);
            thread::spawn(move || {
                while let Ok(line) = waiting.recv() {
                    let mut printed = printed.lock().unwrap_or_else(PoisonError::into_inner);
                    *printed += 1;
                    if printer.print(line).is_err() {
                        return;
                    }
                }
            })
        };
        thread::spawn(move || edit(&mut editor, &printed, &sender));
        Ok(Self { input, out: Out::Terminal { lines, printer: Some(printer) } })
    }

    pub async fn input(&mut self) -> Input {
        self.input.recv().await.unwrap_or(Input::End)
    }

    /// Prints lines in order, above what is being typed.
    pub fn print(&mut self, lines: Vec<String>) -> io::Result<()> {
        match &self.out {
            Out::Plain(output) => lines.iter().try_for_each(|line| output.line(line)),
            Out::Terminal { lines: sender, .. } => {
                let text = lines.into_iter().map(|line| line + "\n").collect();
                sender.send(text).map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))
            }
        }
    }

    /// Waits until everything is on the screen, and takes a prompt off it that nobody answers.
    pub fn finish(&mut self) {
        let Out::Terminal { lines, printer } = &mut self.out else { return };
        let (closed, _) = std::sync::mpsc::channel();
        drop(std::mem::replace(lines, closed));
        if let Some(printer) = printer.take() {
            let _ = printer.join();
        }
        let _ = io::stdout().lock().write_all(b"\r\x1b[K");
    }
}

type Printed = Mutex<u64>;

fn edit(editor: &mut Editor<Entered, MemHistory>, printed: &Printed, sender: &mpsc::Sender<Input>) {
    loop {
        let input = match editor.readline(PROMPT) {
            Ok(line) => {
                let at = editor.helper().and_then(Entered::take);
                erase(&line, at, printed);
                // Ending here takes the editor off the screen, so that what is still to be said goes straight there.
                if line.trim() == QUIT { Input::End } else { Input::Line(line) }
            }
            Err(ReadlineError::Interrupted | ReadlineError::Eof) => Input::End,
            Err(error) => Input::Broken(error.to_string()),
        };
        let over = !matches!(input, Input::Line(_));
        if sender.blocking_send(input).is_err() || over {
            return;
        }
    }
}

/// Takes the typed line off the screen, since the message appears there once it is sent. If anything was printed since
/// Enter was pressed, at that place now stands something else, and the typed line stays.
fn erase(line: &str, printed_at_enter: Option<u64>, printed: &Printed) {
    // The printing thread may wait for the editor while it holds the lock, so this must not wait for it.
    let Ok(printed) = printed.try_lock() else { return };
    let columns = tcgetwinsize(io::stdout()).map_or(0, |size| usize::from(size.ws_col));
    if printed_at_enter != Some(*printed) || columns == 0 || line.contains(char::is_control) {
        return;
    }
    let rows = (PROMPT.width() + line.width()) / columns + 1;
    let mut out = io::stdout().lock();
    let _ = out.write_all(format!("\x1b[{rows}A\r\x1b[J").as_bytes()).and_then(|()| out.flush());
}

/// Notes, when Enter is pressed, how much had been printed. It hooks in as the editor's validator, the only thing that
/// runs between the key and the editor's giving up the screen. As the editor's hinter it hears of every key.
struct Entered {
    printed: Arc<Printed>,
    at: Mutex<Option<u64>>,
    /// The line as it was last seen.
    typed: Mutex<String>,
    sender: mpsc::Sender<Input>,
}

impl Entered {
    fn take(&self) -> Option<u64> {
        self.at.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Validator for Entered {
    fn validate(&self, _: &mut ValidationContext) -> rustyline::Result<ValidationResult> {
        let now = self.printed.try_lock().ok().map(|printed| *printed);
        *self.at.lock().unwrap_or_else(PoisonError::into_inner) = now;
        Ok(ValidationResult::Valid(None))
    }
}

impl Completer for Entered {
    type Candidate = String;
}

impl Hinter for Entered {
    type Hint = String;

    fn hint(&self, line: &str, _: usize, _: &Context<'_>) -> Option<String> {
        let mut typed = self.typed.lock().unwrap_or_else(PoisonError::into_inner);
        if *typed != line {
            line.clone_into(&mut typed);
            if !line.is_empty() && !line.starts_with('/') {
                // It is worth nothing later.
                let _ = self.sender.try_send(Input::Typing);
            }
        }
        None
    }
}

impl Highlighter for Entered {}

impl Helper for Entered {}
