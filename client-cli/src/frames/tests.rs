//! The golden vectors, as `frames` shows them.

use serde_json::Value;

use super::{
    capture::{self, Capture, Piece, What},
    view::View,
};

fn vectors(name: &str) -> Vec<Value> {
    let path = format!("{}/../docs/vectors/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn pieces(vector: &Value) -> Vec<Piece> {
    let mut capture = Capture::default();
    capture.feed(&capture::read(vector["hex"].as_str().unwrap().as_bytes()).unwrap());
    let mut pieces: Vec<_> = std::iter::from_fn(|| capture.next_piece()).collect();
    pieces.extend(capture.rest());
    pieces
}

#[test]
fn the_golden_vectors_are_read_as_they_say() {
    for vector in ["session", "data", "conversations", "log", "close"].into_iter().flat_map(vectors) {
        let pieces = pieces(&vector);
        let view = View::new(&pieces[0].what, false);
        assert_eq!((pieces.len(), view.kind.as_str()), (1, vector["kind"].as_str().unwrap()), "{vector}");
        assert_shown(&serde_json::to_value(&view).unwrap(), &vector["fields"], &vector);
    }
}

/// Whether `shown` says all that `said` does, apart from what is hidden.
fn assert_shown(shown: &Value, said: &Value, vector: &Value) {
    match said {
        Value::Object(fields) => {
            fields.iter().filter(|(name, _)| *name != "code").for_each(|(name, said)| {
                assert_shown(&shown[name], said, vector);
            });
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(at, said)| assert_shown(&shown[at], said, vector));
        }
        said => {
            let hidden = shown.as_str().is_some_and(|shown| shown.ends_with(" bytes>"));
            assert!(hidden || shown == said, "{shown} for {said} of {vector}");
        }
    }
}

#[test]
fn what_may_be_skipped_is_shown_and_what_is_broken_has_its_code() {
    for vector in vectors("ignored") {
        let view = View::new(&pieces(&vector)[0].what, false);
        assert!(["GREASE", "UNKNOWN"].contains(&view.kind.as_str()), "{vector}");
    }
    for vector in vectors("invalid").iter().filter(|vector| vector["phase"] != "preface") {
        for Piece { what, .. } in pieces(vector) {
            if let What::Broken { error, .. } | What::Lost(error) = what {
                assert_eq!(u64::from(error.code().0), vector["close"].as_u64().unwrap(), "{vector}");
            }
        }
    }
}
