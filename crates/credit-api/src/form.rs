//! Forms: request bodies parsed at the door, every fault at once.
//!
//! [`form!`](crate::form!) writes a body down once and gives its parser and its OpenAPI schema, so that the two
//! cannot drift apart.

use std::borrow::Cow;
use std::collections::BTreeMap;

use credit_core::{Amount, AssetCode, Fault, InvalidId, MAX_AMOUNT, Problem, Role, Scope, Timestamp};
use serde_json::Value;
pub use utoipa::openapi::schema::Schema;
use utoipa::openapi::schema::{
    AdditionalProperties, ArrayBuilder, KnownFormat, ObjectBuilder, SchemaFormat, SchemaType, Type,
};

/// Collects the faults of one form.
#[derive(Debug, Default)]
pub struct Faults(Vec<Fault>);

impl Faults {
    /// Notes a fault at a pointer.
    pub fn add(&mut self, pointer: &str, code: impl Into<Cow<'static, str>>, detail: impl Into<String>) {
        self.0.push(Fault::new(pointer, code, detail));
    }

    /// `422 validation_failed` with all of them, if there is any.
    pub fn into_result<T>(self, value: Option<T>) -> Result<T, Problem> {
        match value {
            Some(value) if self.0.is_empty() => Ok(value),
            _ => Err(Problem::invalid(self.0)),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A value that can be read from JSON. Notes every fault it finds and answers `None` if there was one.
pub trait FormValue: Sized {
    /// Reads the value at `pointer`.
    fn read(value: &Value, pointer: &str, faults: &mut Faults) -> Option<Self>;

    /// What OpenAPI says of it.
    fn schema() -> Schema;
}

/// Reads a whole body: `422 validation_failed` with every fault.
pub fn read_form<T: FormValue>(body: &Value) -> Result<T, Problem> {
    let mut faults = Faults::default();
    let value = T::read(body, "", &mut faults);
    faults.into_result(value)
}

/// Writes down a request body: a struct with its parser and its schema.
///
/// `req` fields must be there; `opt` fields may be absent or null (`Option<T>`); `patch` fields tell absent from null
/// (`Option<Option<T>>`). Names that are not listed are faults. `struct Body: "type" = "spend" { … }` is one of several
/// forms that a member tells apart: whoever chose the form has read that member, so it is known and not read again.
///
/// ```
/// use credit_api::form::{Text, read_form};
/// credit_api::form! {
///     /// Rename a thing.
///     pub struct RenameBody { name: req Text<1, 64>, note: opt Text<0, 255> }
/// }
/// let body: RenameBody = read_form(&serde_json::json!({"name": "a"})).unwrap();
/// assert_eq!(body.name.as_str(), "a");
/// let problem = read_form::<RenameBody>(&serde_json::json!({"nam": "a", "note": 1})).err().unwrap();
/// assert_eq!(problem.faults().len(), 3);
/// ```
#[macro_export]
macro_rules! form {
    ($(#[$doc:meta])* $vis:vis struct $name:ident $(: $tag:literal = $value:literal)? { $($(#[$field_doc:meta])* $field:ident : $mode:ident $ty:ty),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone)]
        $vis struct $name { $($(#[$field_doc])* $vis $field: $crate::form!(@type $mode $ty)),* }

        impl $crate::form::FormValue for $name {
            fn read(
                value: &::serde_json::Value,
                pointer: &str,
                faults: &mut $crate::form::Faults,
            ) -> Option<Self> {
                let object = $crate::form::Members::of(value, pointer, faults)?;
                object.refuse_unknown(&[$($tag,)? $(stringify!($field)),*], faults);
                $(let $field = $crate::form!(@read $mode object faults $field);)*
                Some(Self { $($field: $field?),* })
            }

            fn schema() -> $crate::form::Schema {
                $crate::form::object_schema(vec![
                    $(($tag, true, $crate::form::one_text_schema($value)),)?
                    $($crate::form!(@member $mode $field $ty)),*
                ])
            }
        }
    };
    (@type req $ty:ty) => { $ty };
    (@type opt $ty:ty) => { Option<$ty> };
    (@type patch $ty:ty) => { Option<Option<$ty>> };
    (@read req $object:ident $faults:ident $field:ident) => { $object.required(stringify!($field), $faults) };
    (@read opt $object:ident $faults:ident $field:ident) => { $object.optional(stringify!($field), $faults) };
    (@read patch $object:ident $faults:ident $field:ident) => { $object.patched(stringify!($field), $faults) };
    (@member req $field:ident $ty:ty) => { (stringify!($field), true, <$ty as $crate::form::FormValue>::schema()) };
    (@member opt $field:ident $ty:ty) => {
        (stringify!($field), false, $crate::form::nullable(<$ty as $crate::form::FormValue>::schema()))
    };
    (@member patch $field:ident $ty:ty) => {
        (stringify!($field), false, $crate::form::nullable(<$ty as $crate::form::FormValue>::schema()))
    };
}

/// The members of a JSON object at a pointer.
pub struct Members<'a> {
    members: &'a serde_json::Map<String, Value>,
    pointer: &'a str,
}

impl<'a> Members<'a> {
    /// The members, or a fault if the value is not an object.
    pub fn of(value: &'a Value, pointer: &'a str, faults: &mut Faults) -> Option<Self> {
        if let Value::Object(members) = value {
            return Some(Self { members, pointer });
        }
        faults.add(pointer, "invalid_type", "must be an object");
        None
    }

    /// Notes every name that is not among `known`.
    pub fn refuse_unknown(&self, known: &[&str], faults: &mut Faults) {
        for name in self.members.keys().filter(|name| !known.contains(&name.as_str())) {
            faults.add(&self.pointer_to(name), "unknown_field", "is not a field of this call");
        }
    }

    /// A member that must be there.
    pub fn required<T: FormValue>(&self, name: &str, faults: &mut Faults) -> Option<T> {
        if let Some(value) = self.members.get(name) {
            return T::read(value, &self.pointer_to(name), faults);
        }
        faults.add(&self.pointer_to(name), "required", "is required");
        None
    }

    /// A member that may be absent or null.
    pub fn optional<T: FormValue>(&self, name: &str, faults: &mut Faults) -> Option<Option<T>> {
        match self.members.get(name) {
            None | Some(Value::Null) => Some(None),
            Some(value) => T::read(value, &self.pointer_to(name), faults).map(Some),
        }
    }

    /// A member that may be absent, null or there.
    pub fn patched<T: FormValue>(&self, name: &str, faults: &mut Faults) -> Option<Option<Option<T>>> {
        match self.members.get(name) {
            None => Some(None),
            Some(Value::Null) => Some(Some(None)),
            Some(value) => T::read(value, &self.pointer_to(name), faults).map(|value| Some(Some(value))),
        }
    }

    fn pointer_to(&self, name: &str) -> String {
        if name.contains(['~', '/']) {
            return format!("{}/{}", self.pointer, name.replace('~', "~0").replace('/', "~1"));
        }
        let mut pointer = String::with_capacity(self.pointer.len() + 1 + name.len());
        pointer.push_str(self.pointer);
        pointer.push('/');
        pointer.push_str(name);
        pointer
    }
}

/// A closed object schema of (name, required, schema).
pub fn object_schema(members: Vec<(&'static str, bool, Schema)>) -> Schema {
    let mut object = ObjectBuilder::new().additional_properties(Some(AdditionalProperties::FreeForm(false)));
    for (name, required, schema) in members {
        object = object.property(name, schema);
        if required {
            object = object.required(name);
        }
    }
    object.into()
}

/// The schema of one text and no other.
pub fn one_text_schema(text: &'static str) -> Schema {
    names_schema(&[((), text)])
}

/// The schema or null.
pub fn nullable(schema: Schema) -> Schema {
    match schema {
        Schema::Object(mut object) => {
            object.schema_type = match object.schema_type {
                SchemaType::Type(kind) => SchemaType::from_iter([kind, Type::Null]),
                other => other,
            };
            if let Some(values) = &mut object.enum_values {
                values.push(Value::Null);
            }
            Schema::Object(object)
        }
        Schema::Array(mut array) => {
            array.schema_type = SchemaType::from_iter([Type::Array, Type::Null]);
            Schema::Array(array)
        }
        other => other,
    }
}

fn string_schema() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(SchemaType::new(Type::String))
}

fn integer_schema(minimum: i64, maximum: i64) -> Schema {
    ObjectBuilder::new()
        .schema_type(SchemaType::new(Type::Integer))
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64)))
        .minimum(Some(minimum))
        .maximum(Some(maximum))
        .into()
}

fn text<'a>(value: &'a Value, pointer: &str, faults: &mut Faults) -> Option<&'a str> {
    let text = value.as_str();
    if text.is_none() {
        faults.add(pointer, "invalid_type", "must be a string");
    }
    text
}

/// A whole number written as a JSON integer, within bounds.
pub fn read_integer(
    value: &Value,
    range: std::ops::RangeInclusive<i64>,
    pointer: &str,
    faults: &mut Faults,
) -> Option<i64> {
    let Value::Number(number) = value else {
        faults.add(pointer, "invalid_type", "must be an integer");
        return None;
    };
    let detail = || format!("must be an integer from {} to {}", range.start(), range.end());
    if number.is_f64() {
        faults.add(pointer, "invalid_type", detail());
        return None;
    }
    let units = number.as_i64().filter(|units| range.contains(units));
    if units.is_none() {
        faults.add(pointer, "out_of_range", detail());
    }
    units
}

impl FormValue for Amount {
    fn read(value: &Value, pointer: &str, faults: &mut Faults) -> Option<Self> {
        read_integer(value, 1..=MAX_AMOUNT, pointer, faults).and_then(|units| Self::try_new(units).ok())
    }
    fn schema() -> Schema {
        integer_schema(1, MAX_AMOUNT)
    }
}

/// A whole number from `LOW` to `HIGH`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Whole<const LOW: i64, const HIGH: i64>(i64);

impl<const LOW: i64, const HIGH: i64> Whole<LOW, HIGH> {
    /// The number, within its bounds.
    pub const fn get(self) -> i64 {
        self.0
    }
}

impl<const LOW: i64, const HIGH: i64> FormValue for Whole<LOW, HIGH> {
    fn read(value: &Value, pointer: &str, faults: &mut Faults) -> Option<Self> {
        read_integer(value, LOW..=HIGH, pointer, faults).map(Self)
    }
    fn schema() -> Schema {
        integer_schema(LOW, HIGH)
    }
}

impl FormValue for bool {
    fn read(value: &Value, pointer: &str, faults: &mut Faults) -> Option<Self> {
        let flag = value.as_bool();
        if flag.is_none() {
            faults.add(pointer, "invalid_type", "must be true or false");
        }
        flag
    }
    fn schema() -> Schema {
        ObjectBuilder::new().schema_type(SchemaType::new(Type::Boolean)).into()
    }
}

/// Text of `MIN` to `MAX` characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text<const MIN: usize, const MAX: usize>(String);

impl<const MIN: usize, const MAX: usize> Text<MIN, MAX> {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
    /// The text.
    pub fn into_string(self) -> String {
        self.0
    }
}

impl<const MIN: usize, const MAX: usize> FormValue for Text<MIN, MAX> {
    fn read(value: &Value, pointer: &str, faults: &mut Faults) -> Option<Self> {
        let text = text(value, pointer, faults)?;
        if (MIN..=MAX).contains(&text.chars().count()) {
            return Some(Self(text.to_owned()));
        }
        faults.add(pointer, "invalid_length", format!("must have {MIN} to {MAX} characters"));
        None
    }
    fn schema() -> Schema {
        string_schema().min_length(Some(MIN)).max_length(Some(MAX)).into()
    }
}

/// A secret text: never printed, wiped when dropped. Its length is the owner's business.
#[derive(Debug, Clone)]
pub struct SecretText(secrecy::SecretString);

impl SecretText {
    /// The secret.
    pub fn into_secret(self) -> secrecy::SecretString {
        self.0
    }
    /// The secret.
    pub fn secret(&self) -> &secrecy::SecretString {
        &self.0
    }
}

impl FormValue for SecretText {
    fn read(value: &Value, pointer: &str, faults: &mut Faults) -> Option<Self> {
        let text = text(value, pointer, faults)?;
        if text.is_empty() || text.len() > 4096 {
            faults.add(pointer, "invalid_length", "must have 1 to 4096 bytes");
            return None;
        }
        Some(Self(text.to_owned().into()))
    }
    fn schema() -> Schema {
        string_schema()
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::Password)))
            .min_length(Some(1))
            .max_length(Some(4096))
            .into()
    }
}

impl FormValue for Timestamp {
    fn read(value: &Value, pointer: &str, faults: &mut Faults) -> Option<Self> {
        let at = Self::parse(text(value, pointer, faults)?);
        if let Err(error) = at {
            faults.add(pointer, "invalid_format", error.to_string());
        }
        at.ok()
    }
    fn schema() -> Schema {
        string_schema().format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime))).into()
    }
}

const ASSET_CODE: &str = "^[A-Z][A-Z0-9_]{1,15}$";

/// Why a text is not what a schema of ours says of a query parameter; `None` if it is, or if the schema does not tell.
pub(crate) fn misfit(schema: &Schema, text: &str) -> Option<String> {
    let Schema::Object(object) = schema else { return None };
    if let Some(names) = &object.enum_values {
        let names: Vec<&str> = names.iter().filter_map(Value::as_str).collect();
        return (!names.contains(&text)).then(|| format!("must be one of {}", names.join(", ")));
    }
    if object.format == Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)) {
        return Timestamp::parse(text).err().map(|error| error.to_string());
    }
    if object.pattern.as_deref() == Some(ASSET_CODE) {
        return AssetCode::parse(text).err().map(|error| error.to_string());
    }
    None
}

impl FormValue for AssetCode {
    fn read(value: &Value, pointer: &str, faults: &mut Faults) -> Option<Self> {
        let code = Self::parse(text(value, pointer, faults)?);
        if let Err(error) = code {
            faults.add(pointer, "invalid_format", error.to_string());
        }
        code.ok()
    }
    fn schema() -> Schema {
        string_schema().pattern(Some(ASSET_CODE)).into()
    }
}

/// An id in a body. One that is malformed is not a fault of the form: it is as unknown as any other unknown id, and
/// answers the same `404 not_found`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NamedId<T>(Result<T, InvalidId>);

impl<T: Copy> NamedId<T> {
    /// The id, or `404 not_found`. Call it when the form and the key have been checked.
    pub fn known(self) -> Result<T, Problem> {
        self.0.map_err(|_| Problem::not_found())
    }
}

macro_rules! named_ids {
    ($($id:ident)*) => {$(
        impl FormValue for NamedId<credit_core::$id> {
            fn read(value: &Value, pointer: &str, faults: &mut Faults) -> Option<Self> {
                text(value, pointer, faults).map(|text| Self(credit_core::$id::parse(text)))
            }
            fn schema() -> Schema {
                string_schema().description(Some(concat!(stringify!($id), ", a typed prefix and 32 hex digits"))).into()
            }
        }
    )*};
}
named_ids!(AppId UserId SessionId WalletId TransactionId GrantId HoldId ApiKeyId);

impl<T: FormValue> FormValue for Vec<T> {
    fn read(value: &Value, pointer: &str, faults: &mut Faults) -> Option<Self> {
        let Value::Array(items) = value else {
            faults.add(pointer, "invalid_type", "must be an array");
            return None;
        };
        let read: Vec<Option<T>> = items
            .iter()
            .enumerate()
            .map(|(index, item)| T::read(item, &format!("{pointer}/{index}"), faults))
            .collect();
        read.into_iter().collect()
    }
    fn schema() -> Schema {
        ArrayBuilder::new().items(utoipa::openapi::RefOr::T(T::schema())).into()
    }
}

/// One of a closed list of texts.
fn read_named<T: Copy>(names: &[(T, &str)], value: &Value, pointer: &str, faults: &mut Faults) -> Option<T> {
    let text = text(value, pointer, faults)?;
    let found = names.iter().find(|(_, name)| *name == text).map(|(value, _)| *value);
    if found.is_none() {
        let allowed: Vec<&str> = names.iter().map(|(_, name)| *name).collect();
        faults.add(pointer, "invalid_value", format!("must be one of {}", allowed.join(", ")));
    }
    found
}

fn names_schema<T>(names: &[(T, &'static str)]) -> Schema {
    string_schema().enum_values(Some(names.iter().map(|(_, name)| *name))).into()
}

/// A value with a closed list of texts. Implement it and get [`FormValue`] with [`named_value!`](crate::named_value!).
pub trait NamedValue: Copy + 'static {
    /// Each value with its text.
    const NAMES: &'static [(Self, &'static str)];
}

#[doc(hidden)]
pub fn read_named_value<T: NamedValue>(value: &Value, pointer: &str, faults: &mut Faults) -> Option<T> {
    read_named(T::NAMES, value, pointer, faults)
}

#[doc(hidden)]
pub fn named_value_schema<T: NamedValue>() -> Schema {
    names_schema(T::NAMES)
}

/// Makes a [`NamedValue`] readable in forms.
#[macro_export]
macro_rules! named_value {
    ($name:ty) => {
        impl $crate::form::FormValue for $name {
            fn read(
                value: &::serde_json::Value,
                pointer: &str,
                faults: &mut $crate::form::Faults,
            ) -> Option<Self> {
                $crate::form::read_named_value(value, pointer, faults)
            }
            fn schema() -> $crate::form::Schema {
                $crate::form::named_value_schema::<Self>()
            }
        }
    };
}

impl NamedValue for Role {
    const NAMES: &'static [(Self, &'static str)] =
        &[(Self::User, "user"), (Self::Support, "support"), (Self::Admin, "admin")];
}
named_value!(Role);

impl NamedValue for Scope {
    const NAMES: &'static [(Self, &'static str)] = &Scope::ALL;
}
named_value!(Scope);

/// Free pairs of text that a consumer keeps beside a resource: at most 50, names of 1 to 64 characters, values of at
/// most 512.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Metadata(pub BTreeMap<String, String>);

impl Metadata {
    const PAIRS: usize = 50;
    const NAME: usize = 64;
    const VALUE: usize = 512;

    /// Whether it is within its bounds, for what was not read from a form.
    pub fn is_bounded(&self) -> bool {
        let fits = |(name, value): (&String, &String)| {
            (1..=Self::NAME).contains(&name.chars().count()) && value.chars().count() <= Self::VALUE
        };
        self.0.len() <= Self::PAIRS && self.0.iter().all(fits)
    }
}

impl FormValue for Metadata {
    fn read(value: &Value, pointer: &str, faults: &mut Faults) -> Option<Self> {
        let object = Members::of(value, pointer, faults)?;
        if object.members.len() > Self::PAIRS {
            faults.add(pointer, "out_of_range", format!("must have at most {} pairs", Self::PAIRS));
        }
        let mut pairs = BTreeMap::new();
        for (name, value) in object.members {
            let place = object.pointer_to(name);
            let is_named = (1..=Self::NAME).contains(&name.chars().count());
            if !is_named {
                faults.add(
                    &place,
                    "invalid_length",
                    format!("a name must have 1 to {} characters", Self::NAME),
                );
            }
            let Some(text) = text(value, &place, faults) else { continue };
            if text.chars().count() > Self::VALUE {
                faults.add(
                    &place,
                    "invalid_length",
                    format!("a value must have at most {} characters", Self::VALUE),
                );
            } else if is_named {
                pairs.insert(name.clone(), text.to_owned());
            }
        }
        let is_whole = pairs.len() == object.members.len() && pairs.len() <= Self::PAIRS;
        is_whole.then_some(Self(pairs))
    }
    fn schema() -> Schema {
        let value: Schema = string_schema().max_length(Some(Self::VALUE)).into();
        ObjectBuilder::new()
            .schema_type(SchemaType::new(Type::Object))
            .additional_properties(Some(AdditionalProperties::RefOr(value.into())))
            .max_properties(Some(Self::PAIRS))
            .property_names(Some(string_schema().min_length(Some(1)).max_length(Some(Self::NAME))))
            .into()
    }
}
