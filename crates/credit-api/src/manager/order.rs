//! The order in which modules start.

use std::collections::HashMap;
use std::sync::Arc;

use crate::WebModule;
use crate::route::Method;

/// The modules cannot be arranged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ArrangeError {
    /// Two modules have one name.
    #[error("two modules are called {0}; each needs a name of its own")]
    Twice(&'static str),
    /// `modules.enabled` names what does not exist.
    #[error("modules.enabled names {name}, which does not exist; there are {known}")]
    Unknown { name: String, known: String },
    /// A module needs one that does not exist.
    #[error("{module} needs {needed}, which does not exist")]
    Missing { module: &'static str, needed: &'static str },
    /// A module needs one that was left out.
    #[error(
        "{module} needs {needed}, which modules.enabled leaves out; enable {needed} or leave out {module} too"
    )]
    LeftOut { module: &'static str, needed: &'static str },
    /// Two rows want the same calls.
    #[error("{method} {path} stands twice, in {first} and in {second}")]
    RowTwice { method: &'static str, path: &'static str, first: &'static str, second: &'static str },
    /// Two modules have rows for one path; the second would never be asked.
    #[error("{path} has rows in two modules, {first} and {second}; one must have them all")]
    PathShared { path: &'static str, first: &'static str, second: &'static str },
    /// Modules need each other in a circle.
    #[error("modules need each other in a circle: {0}")]
    Circular(String),
}

/// The enabled modules, each behind those it needs; otherwise in the order in which they were discovered.
pub(super) fn arrange(
    discovered: Vec<Arc<dyn WebModule>>,
    enabled: Option<&[String]>,
) -> Result<Vec<Arc<dyn WebModule>>, ArrangeError> {
    let names: Vec<&'static str> = discovered.iter().map(|module| module.name()).collect();
    for (index, name) in names.iter().enumerate() {
        if names[..index].contains(name) {
            return Err(ArrangeError::Twice(name));
        }
    }
    let is_enabled =
        |name: &str| enabled.is_none_or(|enabled| enabled.iter().any(|candidate| candidate == name));
    if let Some(unknown) =
        enabled.unwrap_or_default().iter().find(|candidate| !names.contains(&candidate.as_str()))
    {
        return Err(ArrangeError::Unknown { name: unknown.clone(), known: names.join(", ") });
    }
    let mut waiting: Vec<Arc<dyn WebModule>> =
        discovered.into_iter().filter(|module| is_enabled(module.name())).collect();
    for module in &waiting {
        let module_name = module.name();
        for needed in module.dependencies() {
            if !names.contains(needed) {
                return Err(ArrangeError::Missing { module: module_name, needed });
            }
            if !is_enabled(needed) {
                return Err(ArrangeError::LeftOut { module: module_name, needed });
            }
        }
    }
    let mut arranged: Vec<Arc<dyn WebModule>> = Vec::with_capacity(waiting.len());
    while !waiting.is_empty() {
        let next = waiting.iter().position(|module| {
            module.dependencies().iter().all(|needed| arranged.iter().any(|placed| placed.name() == *needed))
        });
        match next {
            Some(index) => arranged.push(waiting.remove(index)),
            None => return Err(ArrangeError::Circular(circle(&waiting))),
        }
    }
    Ok(arranged)
}

/// Refuses rows that would hide each other.
pub(super) fn check_paths(modules: &[Arc<dyn WebModule>]) -> Result<(), ArrangeError> {
    let mut seen: HashMap<String, (&'static str, Vec<Method>)> = HashMap::new();
    for module in modules {
        let second = module.name();
        for route in module.routes() {
            let (path, method) = (route.path(), route.method());
            let (first, methods) = seen.entry(shape(path)).or_insert_with(|| (second, Vec::new()));
            if methods.contains(&method) {
                return Err(ArrangeError::RowTwice { method: method.as_str(), path, first, second });
            }
            if *first != second {
                return Err(ArrangeError::PathShared { path, first, second });
            }
            methods.push(method);
        }
    }
    Ok(())
}

/// The path without the names of its parameters: `/v1/things/{}`.
fn shape(path: &str) -> String {
    let segments: Vec<&str> =
        path.split('/').map(|segment| if segment.starts_with('{') { "{}" } else { segment }).collect();
    segments.join("/")
}

/// One circle among modules of which each needs another of them: `a → b → a`.
fn circle(waiting: &[Arc<dyn WebModule>]) -> String {
    let mut walked: Vec<&'static str> = Vec::new();
    let mut here = &waiting[0];
    while !walked.contains(&here.name()) {
        walked.push(here.name());
        let next = waiting.iter().find(|module| here.dependencies().contains(&module.name()));
        let Some(next) = next else { break };
        here = next;
    }
    let start = walked.iter().position(|name| *name == here.name()).unwrap_or(0);
    let mut names = walked.split_off(start);
    names.push(here.name());
    names.join(" → ")
}
