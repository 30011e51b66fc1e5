//! A module that the web can ask.

use std::sync::Arc;

use credit_core::Module;

use crate::route::Route;

/// A [`Module`] with routes.
pub trait WebModule: Module {
    /// What its calls are about, in a sentence for the OpenAPI document.
    fn about(&self) -> &'static str {
        "Calls of this module."
    }

    /// Its rows of the table. The same every time.
    fn routes(&self) -> Vec<Arc<Route>>;
}
