//! Durations as people write them: `30s`, `10m`, `2h`, `7d`, or bare seconds.

const UNITS: [(char, u64); 4] = [('d', 86_400), ('h', 3600), ('m', 60), ('s', 1)];

/// Reads a duration, in seconds.
pub(crate) fn read(text: &str) -> Option<u64> {
    let (digits, unit) = match UNITS.iter().find(|(letter, _)| text.ends_with(*letter)) {
        Some((letter, seconds)) => (text.strip_suffix(*letter)?, *seconds),
        None => (text, 1),
    };
    // `parse` would also take a sign.
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    digits.parse::<u64>().ok()?.checked_mul(unit)
}

/// Writes seconds in the largest unit that divides them.
pub(crate) fn write(seconds: u64) -> String {
    let (letter, unit) =
        UNITS.iter().find(|(_, unit)| seconds > 0 && seconds.is_multiple_of(*unit)).unwrap_or(&('s', 1));
    format!("{}{letter}", seconds / unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_a_whole_number_with_a_unit_or_seconds() {
        for (text, seconds) in
            [("30s", 30), ("10m", 600), ("2h", 7200), ("7d", 604_800), ("45", 45), ("0", 0), ("0s", 0)]
        {
            assert_eq!(read(text), Some(seconds), "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in
            ["", "s", "1.5h", "-3s", "+3s", "3 s", "3ms", "3S", "1h30m", "99999999999999999999d", "٣s"]
        {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_written_reads_back() {
        for (seconds, text) in
            [(0, "0s"), (1, "1s"), (90, "90s"), (600, "10m"), (7200, "2h"), (2_592_000, "30d")]
        {
            assert_eq!(write(seconds), text);
            assert_eq!(read(text), Some(seconds));
        }
    }
}
