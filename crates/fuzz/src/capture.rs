//! `hongyan-cli frames`: a capture in any form, read in pieces of any size.

#[path = "../../../client-cli/src/frames/capture.rs"]
#[allow(dead_code, reason = "the program shows what is only compared here")]
mod frames;

use frames::{Capture, Piece, What, read};

pub fn run(data: &[u8]) {
    let Some((&how, input)) = data.split_first() else { return };
    let Ok(bytes) = read(input) else { return };
    let whole = pieces(&bytes, bytes.len().max(1));
    assert_eq!(pieces(&bytes, 1 + usize::from(how)), whole);
    let len: usize = whole.iter().map(|piece| piece.len).sum();
    assert!(len <= bytes.len());
    let mut offset = 0;
    for piece in whole {
        assert_eq!(piece.offset, offset, "pieces stand side by side");
        offset += piece.len as u64;
    }
}

fn pieces(bytes: &[u8], step: usize) -> Vec<Piece> {
    let mut capture = Capture::default();
    let mut pieces = Vec::new();
    for part in bytes.chunks(step) {
        capture.feed(part);
        while let Some(piece) = capture.next_piece() {
            pieces.push(piece);
        }
    }
    pieces.extend(capture.rest());
    // How much had arrived when no further boundary was found depends on the pieces, and nothing else does.
    for piece in pieces.iter_mut().filter(|piece| matches!(piece.what, What::Lost(_))) {
        piece.len = 0;
    }
    pieces
}
