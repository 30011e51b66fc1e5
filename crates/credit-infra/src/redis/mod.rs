//! Redis: rate limits that all replicas share, and a cache. Nothing that money or revocation depends on is kept there,
//! so it may be away, slow, wrong or emptied at any time.
//!
//! One [`RedisLink`] holds the connection. It is shared by all requests and asked in the background how it is; while it
//! is not well, nobody asks Redis anything, and what is built on it goes on in this process.

mod address;
mod cache;
mod entries;
mod lease;
mod lent;
mod limits;
mod link;
mod managers;
mod pool;
mod state;
mod tiers;

pub use address::{InvalidAddress, RedisAddress};
pub use cache::RedisCache;
pub(crate) use lent::LentConnection;
pub use limits::RedisLimits;
pub use link::{RedisLink, RedisSettings};
pub use pool::CannotConnect;
pub use tiers::TieredCache;
