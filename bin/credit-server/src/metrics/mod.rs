//! What is counted. [`table`] has every metric there is; they are described, and begin at zero, before anything happens.

mod registry;
pub(crate) mod table;

pub(crate) use registry::{Known, Registry};
