//! `config show` and `config check`

use crate::config::{Layers, ShowFormat, Sources, layers_with_vault, load};
use crate::exit::Failure;
use crate::print;
use crate::wiring::Service;

/// Prints what is in effect; faults are told behind it, all at once.
pub(crate) fn show(sources: &Sources, format: ShowFormat) -> Result<(), Failure> {
    let layers = match layers_with_vault(sources) {
        Ok(layers) => layers,
        // What Vault would give is missing, and that is told behind what is there.
        Err(faults) => {
            print::text(&Layers::read(sources)?.show(format));
            return Err(faults.into());
        }
    };
    print::text(&layers.show(format));
    layers.settings()?;
    Ok(())
}

/// Says that everything fits, or every fault.
pub(crate) fn check(sources: &Sources) -> Result<(), Failure> {
    let settings = load(sources)?;
    // Whether what `modules.enabled` leaves can stand alone is known to the modules.
    Service::in_memory(&settings)?;
    print::text("the configuration has no faults\n");
    Ok(())
}
