//! What is wrong in a repository, line by line.

use std::fmt;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A face that defines something, or a folder beside a file that holds more than tests.
    Face,
    /// A file that names its neighbour through the face of the folder in which both are.
    Detour,
    /// A module of the server that is no room.
    Place,
    /// A room that names what its list does not have, above it or not.
    Room,
    Circle,
    MethodCircle,
    Word,
    Size,
    /// A path of which this test does not find the end, or a file to which no module leads.
    Lost,
}

#[derive(Clone)]
pub struct Breach {
    pub kind: Kind,
    /// Stays the same until the breach is gone.
    pub place: String,
    pub why: String,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Face => "face",
            Self::Detour => "detour",
            Self::Place => "no room",
            Self::Room => "room",
            Self::Circle => "circle of imports",
            Self::MethodCircle => "circle of methods",
            Self::Word => "word",
            Self::Size => "size",
            Self::Lost => "lost",
        })
    }
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} ({})", self.kind, self.place, self.why)
    }
}

impl Breach {
    fn is(&self, known: &str) -> bool {
        known == format!("{}: {}", self.kind, self.place)
    }
}

/// The breaches that are not `known`, kind by kind, and what is known and no longer so; nothing where all is well.
pub fn report(mut breaches: Vec<Breach>, known: &[&str]) -> String {
    let gone: Vec<_> = known.iter().filter(|known| !breaches.iter().any(|breach| breach.is(known))).copied().collect();
    breaches.retain(|breach| !known.iter().any(|known| breach.is(known)));
    breaches.sort_by(|a, b| (a.kind, &a.place).cmp(&(b.kind, &b.place)));
    let mut report = String::new();
    for of_kind in breaches.chunk_by(|a, b| a.kind == b.kind) {
        report += &format!("\n{}: {}\n", of_kind[0].kind, of_kind.len());
        of_kind.iter().for_each(|breach| report += &format!("  {breach}\n"));
    }
    for entry in gone {
        report += &format!("\nmended, remove it from KNOWN: {entry}\n");
    }
    report
}
