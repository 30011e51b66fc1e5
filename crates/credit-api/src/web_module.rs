//! A module that the web can ask.

use std::sync::Arc;

use credit_core::Module;

use crate::route::Route;

/// A [`Module`] with routes.
pub trait WebModule: Module {
    /// Its rows of the table. The same every time.
    fn routes(&self) -> Vec<Arc<Route>>;
}
