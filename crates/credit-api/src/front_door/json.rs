//! JSON as the contract wants it: one value, each name once, and a fingerprint of its meaning.

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use sha2::{Digest, Sha256};

/// Parses one JSON value; a name that stands twice in an object is an error, since parsers disagree on which one
/// counts (RFC 8259 §4).
pub(crate) fn parse_strict(bytes: &[u8]) -> Result<Value, serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = Strict.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(value)
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
