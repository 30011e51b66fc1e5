//! The real program on a real MongoDB.

mod commands;
mod copying;
mod place;
mod serving;
