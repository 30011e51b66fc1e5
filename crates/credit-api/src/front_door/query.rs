//! Query parameters: known ones only, each once.

use credit_core::{Code, Fault, Problem};

use crate::route::Route;

/// Parses the query. Unknown names are `400 unknown_parameter`, a name that stands twice `400 invalid_parameter`.
pub(super) fn parse(route: &Route, query: &str) -> Result<Vec<(String, String)>, Problem> {
    if query.is_empty() {
        return Ok(Vec::new());
    }
    let pairs: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    let unknown: Vec<Fault> = pairs
        .iter()
        .filter(|(name, _)| !route.knows_parameter(name))
        .map(|(name, _)| Fault::new(name.as_str(), "unknown_parameter", "is not a parameter of this call"))
        .collect();
    if !unknown.is_empty() {
        return Err(Problem::with_faults(Code::UnknownParameter, unknown));
    }
    for (index, (name, _)) in pairs.iter().enumerate() {
        if pairs[..index].iter().any(|(earlier, _)| earlier == name) {
            let fault = Fault::new(name.as_str(), "invalid_parameter", "must stand once");
            return Err(Problem::with_faults(Code::InvalidParameter, vec![fault]));
        }
    }
    Ok(pairs)
}
