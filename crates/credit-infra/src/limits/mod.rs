//! Rate limits counted in this process, by [`governor`].

mod budget;
mod in_process;
mod local_cache;

pub use in_process::InProcessLimits;
pub use local_cache::LocalCache;
