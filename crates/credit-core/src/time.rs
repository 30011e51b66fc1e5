//! Instants and durations, given and never asked for.

use std::fmt;

use jiff::SignedDuration;
use jiff::civil::DateTime;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Where the time comes from. Only the server's clock asks the operating system; tests set it.
pub trait Clock: Send + Sync {
    /// The present instant.
    fn now(&self) -> Timestamp;
}

/// An instant in UTC, in Unix milliseconds; on the wire RFC 3339 with `Z` and three decimals.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(i64);

/// Not an RFC 3339 instant between the years 0 and 9999.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a time is an RFC 3339 instant, for example 2030-01-31T12:00:00Z")]
pub struct InvalidTimestamp;

const LOWEST_MILLIS: i64 = -62_167_219_200_000; // 0000-01-01T00:00:00Z
const HIGHEST_MILLIS: i64 = 253_402_300_799_999; // 9999-12-31T23:59:59.999Z

impl Timestamp {
    /// The Unix epoch.
    pub const EPOCH: Self = Self(0);
    /// The last instant that has a text form.
    pub const MAX: Self = Self(HIGHEST_MILLIS);

    /// From Unix milliseconds; clamped to the years that RFC 3339 can write.
    pub const fn from_millis(millis: i64) -> Self {
        if millis < LOWEST_MILLIS {
            Self(LOWEST_MILLIS)
        } else if millis > HIGHEST_MILLIS {
            Self(HIGHEST_MILLIS)
        } else {
            Self(millis)
        }
    }

    /// Unix milliseconds.
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// Unix milliseconds for an ordered key; instants before 1970 count as 1970.
    pub fn sortable(self) -> u64 {
        u64::try_from(self.0).unwrap_or(0)
    }

    /// Parses RFC 3339 with any offset; more than milliseconds is cut off.
    pub fn parse(text: &str) -> Result<Self, InvalidTimestamp> {
        // RFC 3339 is stricter than what jiff reads (it takes ISO 8601 forms too): a full date, `T`, a full
        // time and an offset.
        let bytes = text.as_bytes();
        let shape = bytes.len() >= 20
            && bytes[..4].iter().all(u8::is_ascii_digit)
            && bytes[4] == b'-'
            && bytes[7] == b'-'
            && matches!(bytes[10], b'T' | b't' | b' ')
            && bytes[13] == b':'
            && bytes[16] == b':'
            && !text.contains('[');
        if !shape {
            return Err(InvalidTimestamp);
        }
        let known: Result<jiff::Timestamp, _> = text.parse();
        let millis = match known {
            Ok(instant) => instant.as_millisecond(),
            Err(_) => civil_millis(text).ok_or(InvalidTimestamp)?,
        };
        if (LOWEST_MILLIS..=HIGHEST_MILLIS).contains(&millis) {
            Ok(Self(millis))
        } else {
            Err(InvalidTimestamp)
        }
    }

    /// Later by `milliseconds`, clamped.
    #[must_use]
    pub const fn plus_millis(self, milliseconds: i64) -> Self {
        Self::from_millis(self.0.saturating_add(milliseconds))
    }

    /// Later by `seconds`, clamped.
    #[must_use]
    pub const fn plus_seconds(self, seconds: i64) -> Self {
        self.plus_millis(seconds.saturating_mul(1000))
    }

    /// Milliseconds since `earlier`, negative if it is later.
    pub const fn millis_since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Ok(instant) = jiff::Timestamp::from_millisecond(self.0) {
            return write!(f, "{instant:.3}");
        }
        let since = SignedDuration::from_millis(self.0);
        let civil = CIVIL_EPOCH.checked_add(since).map_err(|_| fmt::Error)?;
        write!(f, "{civil:.3}Z")
    }
}

const CIVIL_EPOCH: DateTime = DateTime::constant(1970, 1, 1, 0, 0, 0, 0);

/// Unix milliseconds of an instant in the last or first days that RFC 3339 can write: jiff's instants end a day before
/// year 9999 does, and `9999-12-31T23:59:59Z` is what many write for "never".
fn civil_millis(text: &str) -> Option<i64> {
    let (civil, offset_minutes) = match text.strip_suffix(['Z', 'z']) {
        Some(civil) => (civil, 0),
        None => split_offset(text)?,
    };
    if civil.get(10..)?.contains(['+', '-', 'Z', 'z']) {
        return None; // an offset of its own
    }
    let civil: DateTime = civil.parse().ok()?;
    let since = civil.duration_since(CIVIL_EPOCH).as_millis();
    i64::try_from(since).ok()?.checked_sub(offset_minutes * 60_000)
}

/// The date and time before an offset, and the offset in minutes.
fn split_offset(text: &str) -> Option<(&str, i64)> {
    let (civil, offset) = text.split_at_checked(text.len().checked_sub("+00:00".len())?)?;
    let (hours, minutes) = offset.get(1..)?.split_once(':')?;
    let part = |digits: &str, below: i64| {
        let plain = digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_digit());
        digits.parse::<i64>().ok().filter(|number| plain && *number < below)
    };
    let offset_minutes = part(hours, 24)? * 60 + part(minutes, 60)?;
    match offset.as_bytes()[0] {
        b'+' => Some((civil, offset_minutes)),
        b'-' => Some((civil, -offset_minutes)),
        _ => None,
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            self.0.serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
            Self::parse(&text).map_err(serde::de::Error::custom)
        } else {
            i64::deserialize(deserializer).map(Self::from_millis)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_reads_rfc_3339_and_writes_utc() {
        let at = Timestamp::parse("2026-11-22T20:00:00.1239+02:00").expect("valid");
        assert_eq!(at.to_string(), "2026-11-22T18:00:00.123Z");
        assert_eq!(Timestamp::parse(&at.to_string()), Ok(at));
        for wrong in [
            "2026-11-22",
            "2026-11-22T18:00:00",
            "20261122T180000Z",
            "now",
            "2026-13-01T00:00:00Z",
            "2026-11-22T18:00Z",
            "9999-12-32T00:00:00Z",
            "9999-12-31T24:00:01Z",
            "9999-12-31T23:59:59",
            "9999-12-31T23:59:59-00:01",
            "9999-12-31T23:59:59+2:000",
            "9999-12-31T23:59:59++2:00",
            "9999-12-31T20:59:59+02:00Z",
            "9999-12-31T23:59:59\u{e4}00:00",
        ] {
            assert_eq!(Timestamp::parse(wrong), Err(InvalidTimestamp), "{wrong}");
        }
    }

    #[test]
    fn a_time_reaches_to_the_last_instant_of_year_9999() {
        for text in ["9999-12-31T23:59:59.999Z", "9999-12-30T22:00:01.000Z", "0000-01-01T00:00:00.000Z"] {
            assert_eq!(Timestamp::parse(text).expect(text).to_string(), text);
        }
        assert_eq!(Timestamp::parse("9999-12-31T23:59:59.999+00:00"), Ok(Timestamp::MAX));
        assert_eq!(
            Timestamp::parse("9999-12-31T23:59:59+01:30").expect("valid").to_string(),
            "9999-12-31T22:29:59.000Z"
        );
        assert_eq!(Timestamp::MAX.plus_seconds(1).to_string(), "9999-12-31T23:59:59.999Z");
    }
}
