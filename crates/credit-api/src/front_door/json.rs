//! JSON as the contract wants it: one value, each name once, and a fingerprint of its meaning.

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use sha2::{Digest, Sha256};

/// Parses one JSON value; a name that stands twice in an object is an error, since parsers disagree on which one
/// counts (RFC 8259 §4).
///
/// A number too large for any type of ours is JSON all the same: it reads as the largest fraction, which no form takes,
/// so that the form says where it stands.
pub(crate) fn parse_strict(bytes: &[u8]) -> Result<Value, serde_json::Error> {
    parse_once(bytes).or_else(|error| match with_bounded_numbers(bytes) {
        Some(bounded) => parse_once(&bounded),
        None => Err(error),
    })
}

fn parse_once(bytes: &[u8]) -> Result<Value, serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = Strict.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(value)
}

/// The same text with every number that is beyond a double-precision one replaced by the largest power of ten, as
/// long as before; `None` if there is no such number.
fn with_bounded_numbers(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut bounded: Option<Vec<u8>> = None;
    let mut at = 0;
    while at < bytes.len() {
        let length = match bytes[at] {
            b'"' => text_length(&bytes[at..]),
            b'-' | b'0'..=b'9' => {
                let length = number_length(&bytes[at..]);
                let number = &bytes[at..at + length];
                if is_beyond_bounds(number) {
                    let stand_in: &[u8] = if number[0] == b'-' { b"-1e308" } else { b"1e308" };
                    let place = &mut bounded.get_or_insert_with(|| bytes.to_vec())[at..at + length];
                    place.fill(b' ');
                    place[..stand_in.len()].copy_from_slice(stand_in);
                }
                length
            }
            _ => 1,
        };
        at += length;
    }
    bounded
}

/// How long the text is that begins here, quotes included.
fn text_length(bytes: &[u8]) -> usize {
    let mut is_escaped = false;
    let end = bytes.iter().skip(1).position(|byte| {
        let is_end = *byte == b'"' && !is_escaped;
        is_escaped = *byte == b'\\' && !is_escaped;
        is_end
    });
    end.map_or(bytes.len(), |inside| inside + 2)
}

fn number_length(bytes: &[u8]) -> usize {
    let is_part = |byte: &u8| byte.is_ascii_digit() || matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E');
    bytes.iter().position(|byte| !is_part(byte)).unwrap_or(bytes.len())
}

/// Whether it is a number as RFC 8259 §6 writes it, and beyond a double-precision one.
fn is_beyond_bounds(number: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(number) else { return false };
    let all_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    let exponent_fits =
        exponent.is_none_or(|exponent| all_digits(exponent.strip_prefix(['+', '-']).unwrap_or(exponent)));
    let mantissa = mantissa.strip_prefix('-').unwrap_or(mantissa);
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    let whole_fits = all_digits(whole) && (whole == "0" || !whole.starts_with('0'));
    let is_number = whole_fits && exponent_fits && fraction.is_none_or(all_digits);
    is_number && text.parse::<f64>().is_ok_and(f64::is_infinite)
}

struct Strict;

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("JSON with each name once")
    }
    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }
    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }
    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }
    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("not a finite number"))
    }
    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }
    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element_seed(Strict)? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut members = Map::new();
        while let Some(name) = access.next_key::<String>()? {
            let value = access.next_value_seed(Strict)?;
            if members.insert(name, value).is_some() {
                return Err(de::Error::custom("a name stands twice in an object"));
            }
        }
        Ok(Value::Object(members))
    }
}

/// The fingerprint of a request for its idempotency key: method, path and what the body means, whatever its white
/// space, escapes and order of names. 128 bits of SHA-256.
pub(crate) fn fingerprint(method: &str, path: &str, body: &Value) -> u128 {
    let mut hasher = Sha256::new();
    hasher.update(method.as_bytes());
    hasher.update([0]);
    hasher.update(path.as_bytes());
    hasher.update([0]);
    absorb(&mut hasher, body);
    let digest = hasher.finalize();
    let mut half = [0; 16];
    half.copy_from_slice(&digest[..16]);
    u128::from_be_bytes(half)
}

/// Every value is written with its kind and length, so that two different values never give the same bytes.
fn absorb(hasher: &mut Sha256, value: &Value) {
    match value {
        Value::Null => hasher.update(b"n"),
        Value::Bool(true) => hasher.update(b"t"),
        Value::Bool(false) => hasher.update(b"f"),
        Value::Number(number) => absorb_text(hasher, b'#', &number.to_string()),
        Value::String(text) => absorb_text(hasher, b's', text),
        Value::Array(items) => {
            hasher.update(b"[");
            for item in items {
                absorb(hasher, item);
            }
            hasher.update(b"]");
        }
        Value::Object(members) => {
            let mut names: Vec<&String> = members.keys().collect();
            names.sort_unstable();
            hasher.update(b"{");
            for name in names {
                absorb_text(hasher, b'k', name);
                absorb(hasher, &members[name]);
            }
            hasher.update(b"}");
        }
    }
}

fn absorb_text(hasher: &mut Sha256, kind: u8, text: &str) {
    hasher.update([kind]);
    hasher.update(text.len().to_be_bytes());
    hasher.update(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_stands_twice_is_refused_at_any_depth() {
        assert!(parse_strict(br#"{"a":1,"b":{"c":2}}"#).is_ok());
        for wrong in
            [&br#"{"a":1,"a":1}"#[..], br#"[{"b":{"c":2,"c":3}}]"#, b"", b"{}{}", b"{\"a\":}", b"\xff"]
        {
            assert!(parse_strict(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_number_beyond_all_bounds_is_json_and_no_whole_number() {
        let long = "9".repeat(400);
        for number in [
            "1e400",
            "-1e400",
            "1E+400",
            "1.5e309",
            "99999999999999999999999",
            "1e99999999999999999999",
            &long,
        ] {
            let text = format!("{{\"a\\\"\":\"1e400 \\\\\",\"b\":[{number},7],\"c\":{number}}}");
            let value = parse_strict(text.as_bytes()).expect(number);
            assert!(value["b"][0].is_f64() && value["c"].is_f64(), "{number}");
            assert_eq!((&value["b"][1], &value["a\""]), (&Value::from(7), &Value::from("1e400 \\")));
        }
        assert_eq!(parse_strict(b"0e400").expect("nothing"), serde_json::json!(0.0));
        for wrong in
            ["01e400", "1e400e1", "1.e400", "1e400x", "--1e400", "+1e400", "[1e400", "{\"a\":1e400,\"a\":1}"]
        {
            assert!(parse_strict(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_fingerprint_follows_the_meaning_and_not_the_bytes() {
        let print = |text: &[u8]| fingerprint("POST", "/v1/x", &parse_strict(text).expect("JSON"));
        assert_eq!(print(br#"{"a":1,"b":"\u0041"}"#), print(b"{ \"b\" : \"A\", \"a\": 1 }"));
        assert_ne!(print(br#"{"a":1}"#), print(br#"{"a":2}"#));
        assert_ne!(print(br#"["a","b"]"#), print(br#"["ab"]"#));
        assert_ne!(print(br#"{"a":null}"#), print(b"{}"));
        let value = Value::Null;
        assert_ne!(fingerprint("POST", "/v1/x", &value), fingerprint("POST", "/v1/y", &value));
    }
}
