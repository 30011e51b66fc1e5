//! `openapi`

use crate::config::{Sources, load};
use crate::exit::Failure;
use crate::print;
use crate::wiring::Service;

/// Prints the contract of the whole house. It depends on nothing but the code: not on a store, nor on what is
/// configured here.
pub(crate) fn print() -> Result<(), Failure> {
    let settings = load(&Sources::default())?;
    print::text(&Service::in_memory(&settings)?.manager.contract());
    Ok(())
}
