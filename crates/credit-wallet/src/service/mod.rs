//! What can be asked of this module. Each use case has a file.

mod counter;
mod figures;

mod assets;
mod audit;
mod list_grants;
mod list_holds;
mod list_wallets;
mod open_wallet;
mod shelves;

pub use audit::Auditor;
pub use counter::{Counter, CounterParts, Sight};
pub use figures::Figures;
pub use list_wallets::WalletFilter;
