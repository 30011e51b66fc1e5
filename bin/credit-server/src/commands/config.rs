//! `config show` and `config check`

use crate::config::{Layers, ShowFormat, Sources};
use crate::exit::Failure;
use crate::print;

/// Prints what is in effect; faults are told behind it, all at once.
pub(crate) fn show(sources: &Sources, format: ShowFormat) -> Result<(), Failure> {
    let layers = Layers::read(sources)?;
    print::text(&layers.show(format));
    layers.settings()?;
    Ok(())
}

/// Says that everything fits, or every fault.
pub(crate) fn check(sources: &Sources) -> Result<(), Failure> {
    Layers::read(sources)?.settings()?;
    print::text("the configuration has no faults\n");
    Ok(())
}
