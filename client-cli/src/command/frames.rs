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
    let mut broken = 0;
    while let Some(piece) = capture.next_piece() {
        broken += show(output, &piece, bodies)?;
    }
    if let Some(piece) = capture.rest() {
        broken += show(output, &piece, bodies)?;
    }
    if broken == 0 {
        return Ok(Exit::Done);
    }
    Err(Failure::usage(format!("{broken} of the frames are broken; the first column says at which byte")))
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

/// 1 if the piece is broken.
fn show(output: Output, piece: &Piece, bodies: bool) -> Result<usize, Failure> {
    let view = View::new(&piece.what, bodies);
    let Piece { offset, len, .. } = *piece;
    if output.json {
        output.record(&FrameRecord { offset, len, kind: &view.kind, fields: &view })?;
    } else {
        output.line(&format!("{offset:>8} {len:>6} {view}"))?;
    }
    Ok(matches!(piece.what, What::Broken { .. } | What::Lost(_) | What::CutOff { .. }).into())
}
