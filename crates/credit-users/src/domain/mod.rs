//! The rules: pure, without time or randomness of their own.

mod admins;
mod email;
mod look_alike;
mod password;
mod refresh_token;
mod session;
mod user;
mod username;

pub use email::Email;
pub use password::NewPassword;
pub(crate) use password::own_name_fault;
pub(crate) use session::Session;
pub use user::{Status, User};
pub use username::Username;

pub(crate) use admins::Admins;
pub(crate) use look_alike::{Likeness, likeness};
pub(crate) use refresh_token::RefreshToken;
