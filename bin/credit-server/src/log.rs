//! What the program says while it runs: on the standard error, a line an event.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::config::{Log, LogFormat};

/// Who talks of nothing but itself at level info; and whose words on calls to Vault nobody has looked through for what
/// must not be in a log.
const QUIET: &str =
    "actix_server=warn,vaultrs=off,rustify=off,hyper=info,hyper_util=info,h2=info,reqwest=info,rustls=info";

/// Starts logging. Once in the life of the process.
pub(crate) fn start(log: &Log) {
    // What is asked for stands behind, and wins. It has been judged with the configuration.
    let filter =
        EnvFilter::try_new(format!("{QUIET},{}", log.level)).unwrap_or_else(|_| EnvFilter::new("info"));
    let for_people = match log.format {
        LogFormat::Auto => std::io::stderr().is_terminal(),
        LogFormat::Human => true,
        LogFormat::Json => false,
    };
    // An event that cannot be written is lost: to complain of it on the same full disk would be a panic.
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .log_internal_errors(false);
    if for_people {
        builder.with_ansi(std::io::stderr().is_terminal()).init();
    } else {
        builder.json().flatten_event(true).with_current_span(true).with_span_list(false).init();
    }
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        let payload = panic.payload();
        let reason =
            payload.downcast_ref::<&str>().copied().or(payload.downcast_ref::<String>().map(String::as_str));
        tracing::error!(place, reason, "something panicked");
    }));
}
