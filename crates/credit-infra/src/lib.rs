#![doc = include_str!("../README.md")]

pub mod embedded;
pub mod mongodb;

pub mod hashing;
pub mod passwords;
pub mod rotating;
pub mod sealing;
pub mod tokens;
pub mod transfer;
pub mod vault;

pub mod jobs;
pub mod limits;
pub mod peers;
pub mod redis;
pub mod resilience;

pub mod clock;
pub mod randomness;
pub mod telemetry;
pub mod traces;

pub mod testkit;
