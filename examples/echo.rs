//! A bot that answers every message with its own content.
//!
//! ```text
//! hongyan user add echo
//! hongyan token echo > echo.token
//! cargo run --example echo -- 127.0.0.1:7600 echo.token
//! ```
//!
//! It may be killed at any moment: its store remembers what it has handled, and what it has still to send.

use hongyan_client::{Client, Credential, Event, SqliteStore, StartAt};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let [server, token_file] = std::env::args().skip(1).collect::<Vec<_>>().try_into().unwrap_or_else(|_| {
        eprintln!("usage: echo HOST:PORT TOKEN_FILE");
        std::process::exit(2)
    });
    let token = std::fs::read_to_string(token_file)?;
    let (client, mut events) = Client::builder(&server)
        .device("bot")
        .credential(Credential::Token(token.trim().into()))
        .store(Box::new(SqliteStore::open("echo.db")?))
        .start(StartAt::Head)
        .connect()
        .await?;
    eprintln!("logged in as {}", client.uid());
    while let Some(event) = events.next().await {
        match event {
            Event::Message(message) if !message.own && message.from != *client.uid() => {
                // Durable from here on, whatever becomes of the connection or of this process.
                client.enqueue(&message.conversation, message.content).await?;
            }
            Event::Disconnected { reason, retry_in } => eprintln!("{reason}; trying again in {retry_in:?}"),
            Event::Stopped(error) => return Err(error.into()),
            _ => {}
        }
    }
    Ok(())
}
