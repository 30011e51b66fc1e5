//! The whole module on in-memory ports behind a real front door, with a clock to set. `credit-transactions` puts its
//! own module beside it.

mod house;
mod seed;
mod users;

pub use house::{Caller, Ground, WalletHouse, nothing};
pub use seed::{Seed, Take};
pub use users::KnownUsers;
