//! `config show` and `config check`

use crate::config::{Layers, ShowFormat, Sources};
use crate::exit::Failure;
use crate::print;
use crate::wiring::Service;

/// Prints what is in effect; faults are told behind it, all at once.
pub(crate) fn show(sources: &Sources, format: ShowFormat) -> Result<(), Failure> {
    let layers = Layers::read(sources)?;
    print::text(&layers.show(format));
    layers.settings()?;
    Ok(())
}

/// Says that everything fits, or every fault.
pub(crate) fn check(sources: &Sources) -> Result<(), Failure> {
    let settings = Layers::read(sources)?.settings()?;
    // Whether what `modules.enabled` leaves can stand alone is known to the modules.
    Service::in_memory(&settings)?;
    print::text("the configuration has no faults\n");
    Ok(())
}
