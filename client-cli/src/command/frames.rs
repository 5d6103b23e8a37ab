//! `frames`: a capture in, readable frames out.

use std::{
    fs,
    io::{self, Read},
    path::Path,
};

use serde::Serialize;

use crate::{
    exit::{Exit, Failure},
    frames::{Capture, Piece, View, What, capture},
    output::Output,
    text::count,
};

#[derive(Serialize)]
struct FrameRecord<'a> {
    offset: u64,
    len: usize,
    kind: &'a str,
    fields: &'a View,
}

pub fn run(output: Output, file: Option<&Path>, bodies: bool) -> Result<Exit, Failure> {
    let bytes = capture::read(&read(file)?).map_err(Failure::usage)?;
    let mut capture = Capture::default();
    capture.feed(&bytes);
    let mut broken = Vec::new();
    while let Some(piece) = capture.next_piece().or_else(|| capture.rest()) {
        show(output, &piece, bodies)?;
        if matches!(piece.what, What::Broken { .. } | What::Lost(_) | What::CutOff { .. }) {
            broken.push(piece.offset);
        }
    }
    match broken.first() {
        None => Ok(Exit::Done),
        Some(first) => {
            let what = count(broken.len(), "broken frame");
            Err(Failure::usage(format!("{what}, the first at byte {first}")))
        }
    }
}

fn read(file: Option<&Path>) -> Result<Vec<u8>, Failure> {
    match file {
        Some(path) if path != Path::new("-") => {
            fs::read(path).map_err(|error| Failure::usage(format!("{}: {error}", path.display())))
        }
        _ => {
            let mut bytes = Vec::new();
            io::stdin().lock().read_to_end(&mut bytes)?;
            Ok(bytes)
        }
    }
}

fn show(output: Output, piece: &Piece, bodies: bool) -> std::io::Result<()> {
    let view = View::new(&piece.what, bodies);
    let Piece { offset, len, .. } = *piece;
    if output.json {
        return output.record(&FrameRecord { offset, len, kind: &view.kind, fields: &view });
    }
    output.line(&format!("{offset:>8} {len:>6} {view}"))
}
