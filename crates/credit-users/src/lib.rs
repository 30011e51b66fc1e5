#![doc = include_str!("../README.md")]

mod directory;
mod domain;
mod jobs;
pub mod ports;
mod routes;
mod service;
mod settings;
mod store;
pub mod testkit;
mod user_management;

pub use directory::{UserDirectory, UserRef};
pub use domain::{Email, NewPassword, Status, User, Username};
pub use service::{
    Import, ImportedUser, KeyUse, NewUser, PasswordAhead, ReencryptProgress, Users, UsersParts,
    first_admin_faults,
};
pub use settings::{Registration, UsersSettings};
pub use store::COLLECTIONS;
pub use user_management::UsersModule;
