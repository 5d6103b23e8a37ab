//! The rooms of the server and the arrows between them, printed for a person.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
};

use crate::{
    arrows::Arrows,
    circles::{stem, words},
    rooms::{MAY, room},
    tree::Repository,
};

/// How many arrows between files one room has to another.
type Rooms<'a> = BTreeMap<&'a str, BTreeMap<&'a str, usize>>;

/// All rooms, floor by floor from the top, each with the rooms that it names.
pub fn rooms(repository: &Repository, arrows: &Arrows) -> String {
    let mut rooms = Rooms::new();
    for file in &repository.files {
        rooms.extend(room(file).map(|room| (room, BTreeMap::new())));
    }
    for ((from, to), arrow) in &arrows.between {
        if let (Some(here), Some(there)) = (room(&repository.files[*from]), room(&repository.files[*to]))
            && here != there
            && !arrow.names.is_empty()
        {
            *rooms.get_mut(here).unwrap().entry(there).or_default() += 1;
        }
    }
    let files = |of: &str| repository.files.iter().filter(|file| room(file) == Some(of)).count();
    let mut by_floor: Vec<_> = rooms.keys().map(|room| (floor(&rooms, room, &mut BTreeSet::new()), *room)).collect();
    by_floor.sort_by_key(|(floor, room)| (std::cmp::Reverse(*floor), MAY.iter().position(|(name, _)| name == room)));
    let between: usize = rooms.values().map(BTreeMap::len).sum();
    let mut out = format!("\n{} rooms, {between} arrows between them\n", rooms.len());
    for (floor, room) in by_floor {
        let named: Vec<_> = rooms[room].iter().map(|(to, count)| format!("{to} {count}")).collect();
        let _ = writeln!(out, "{floor:>3}  {room} ({} files) → {}", files(room), named.join(", "));
    }
    out
}

/// One more than the highest floor that a room names; what would lead round is left out.
fn floor<'a>(rooms: &Rooms<'a>, room: &'a str, above: &mut BTreeSet<&'a str>) -> usize {
    if !above.insert(room) {
        return 0;
    }
    let floor = rooms[room].keys().map(|below| floor(rooms, below, above)).max().map_or(1, |below| below + 1);
    above.remove(room);
    floor
}

/// The files of one room, or of one folder of another crate, with what each names.
pub fn files(repository: &Repository, arrows: &Arrows, of: &str) -> String {
    let mut out = "\n".to_owned();
    for (id, file) in repository.files.iter().enumerate() {
        if room(file) != Some(of) && !file.name.starts_with(of) {
            continue;
        }
        let _ = writeln!(out, "{}", file.name);
        for ((_, to), arrow) in arrows.between.range((id, 0)..(id + 1, 0)) {
            let is_near = file.home == repository.files[*to].home;
            let to = if is_near { stem(repository, *to) } else { repository.name(*to) };
            let _ = writeln!(out, "    → {to}: {}", words(arrow));
        }
    }
    out
}
