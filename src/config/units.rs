//! Numbers with a unit, as people write them in a configuration: `5s`, `90d`, `64KiB`.
//!
//! Whole numbers and one unit only, so that what is printed is what was written. A number without a unit is refused:
//! it is the usual way to be wrong by a factor of a thousand.

use std::time::Duration;

/// Smallest first, each a multiple of the one before.
const TIMES: &[(&str, u64)] = &[("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
const SIZES: &[(&str, u64)] = &[("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];

/// Reads a duration such as `250ms`, `5s`, `10m`, `1h` or `90d`.
pub fn read_duration(text: &str) -> Option<Duration> {
    read(text, TIMES).map(Duration::from_millis)
}

/// Writes a duration with the largest unit that divides it; what is below a millisecond is cut off.
pub fn write_duration(duration: Duration) -> String {
    write(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX), TIMES)
}

/// Reads a size such as `512B`, `64KiB`, `19MiB` or `1GiB`, in bytes.
pub fn read_size(text: &str) -> Option<u64> {
    read(text, SIZES)
}

/// Writes a number of bytes with the largest unit that divides it.
pub fn write_size(bytes: u64) -> String {
    write(bytes, SIZES)
}

fn read(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let (_, scale) = units.iter().find(|(name, _)| *name == unit.trim_start())?;
    number.parse::<u64>().ok()?.checked_mul(*scale)
}

fn write(amount: u64, units: &[(&str, u64)]) -> String {
    let (name, scale) =
        units.iter().rev().find(|(_, scale)| amount != 0 && amount.is_multiple_of(*scale)).unwrap_or(&units[0]);
    format!("{}{name}", amount / scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_written() {
        for (text, ms) in [("0ms", 0), ("250ms", 250), ("5s", 5_000), ("10m", 600_000), ("1h", 3_600_000)] {
            assert_eq!(read_duration(text), Some(Duration::from_millis(ms)), "{text}");
            assert_eq!(write_duration(Duration::from_millis(ms)), text);
        }
        assert_eq!(read_duration(" 90 d "), Some(Duration::from_secs(90 * 86_400)));
        assert_eq!(write_duration(Duration::from_millis(90_500)), "90500ms");
    }

    #[test]
    fn sizes_read_as_written() {
        for (text, bytes) in [("0B", 0), ("1023B", 1023), ("64KiB", 65_536), ("19MiB", 19 << 20), ("3GiB", 3 << 30)] {
            assert_eq!(read_size(text), Some(bytes), "{text}");
            assert_eq!(write_size(bytes), text);
        }
    }

    #[test]
    fn what_has_no_known_unit_or_does_not_fit_is_refused() {
        for text in ["", "5", "s", "-5s", "1.5h", "5 weeks", "5S", "1m30s", "18446744073709551615d"] {
            assert_eq!(read_duration(text), None, "{text}");
        }
        for text in ["", "64", "KiB", "64KB", "64kib", "99999999999GiB"] {
            assert_eq!(read_size(text), None, "{text}");
        }
    }
}
