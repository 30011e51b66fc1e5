//! The whole front door in a test: modules behind it on whatever ports they were given, asked over HTTP without a
//! socket.

mod authenticator;
mod house;
mod stand_in;

pub use authenticator::TestAuthenticator;
pub use house::{TestAnswer, TestHouse, TestHouseBuilder};
