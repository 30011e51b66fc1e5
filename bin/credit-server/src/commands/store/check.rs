//! `store check` and `store migrate`

use crate::commands::block_on;
use crate::commands::side::Side;
use crate::config::Settings;
use crate::exit::Failure;
use crate::print;

/// Says that the store can be worked on, or why not.
pub(crate) fn check(settings: &Settings) -> Result<(), Failure> {
    bring_up_to_date(settings)?;
    print::text("the store can be worked on\n");
    Ok(())
}

/// Makes and brings up to date what the store needs.
pub(crate) fn migrate(settings: &Settings) -> Result<(), Failure> {
    bring_up_to_date(settings)?;
    print::text("the store is up to date\n");
    Ok(())
}

/// A store that opens is up to date: that is what opening sees to.
fn bring_up_to_date(settings: &Settings) -> Result<(), Failure> {
    block_on(async { Ok(Side::configured(settings).await?.close().await?) })?
}
