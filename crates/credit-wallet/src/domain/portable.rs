//! Commands that another process can decide.
//!
//! One process usually writes a book; the others hand it their commands (`ledger::pass_on`). Both run the very same
//! program, so that what is packed here is never kept and may change with every release.

use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::desk::Command;

/// A command that can be handed to another process.
pub trait Portable: Command + Serialize + DeserializeOwned + 'static {
    /// Which of the commands it is; no two have the same.
    const NAME: &'static str;
}

/// A command that can be packed for another process.
pub trait Pack {
    /// Which of the commands it is.
    fn name(&self) -> &'static str;

    /// Appends what it says to a message. `None` if it has no form, and then it is decided here.
    fn pack(&self, message: Vec<u8>) -> Option<Vec<u8>>;
}

impl<C: Portable> Pack for C {
    fn name(&self) -> &'static str {
        C::NAME
    }

    fn pack(&self, message: Vec<u8>) -> Option<Vec<u8>> {
        postcard::to_extend(self, message).ok()
    }
}

/// How the commands of one name are unpacked.
#[derive(Clone, Copy)]
pub struct Unpack {
    name: &'static str,
    unpack: fn(&[u8]) -> Option<Arc<dyn Command>>,
}

impl Unpack {
    /// Of this command.
    pub const fn of<C: Portable>() -> Self {
        Self { name: C::NAME, unpack: |bytes| Some(Arc::new(postcard::from_bytes::<C>(bytes).ok()?)) }
    }

    /// Unpacks a command. `None` if there is none of this name, or it does not say what one would.
    pub fn any(known: &[Self], name: &str, bytes: &[u8]) -> Option<Arc<dyn Command>> {
        let known = known.iter().find(|known| known.name == name)?;
        (known.unpack)(bytes)
    }
}
