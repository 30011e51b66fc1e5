//! What the program says while it runs: on the standard error, a line an event; and the traces of what it does, if they
//! are wanted.

use std::io::IsTerminal;
use std::sync::Arc;

use credit_api::ports::{LogLevel, Traces};
use credit_infra::traces::Tracing;
use parking_lot::Mutex;
use tracing::Span;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt, reload};

use crate::config::{Log, LogFormat, is_log_filter};

/// Who talks of nothing but itself at level info; who calls it an error that somebody else sends what is no HTTP; and whose words on calls to Vault nobody has looked through for what
/// must not be in a log.
const QUIET: &str = "actix_server=warn,actix_http::h1::dispatcher=off,apalis_core=off,vaultrs=off,rustify=off,hyper=info,hyper_util=info,h2=info,reqwest=info,\
                     rustls=info,opentelemetry=warn,opentelemetry_sdk=warn,opentelemetry-otlp=warn";
/// Spans that are only for traces: in the log they would stand in place of that of the request.
const FOR_TRACES: &str = "credit_trace=off";
/// What an admin cannot switch on from afar.
const NEVER: &str = "vaultrs=off,rustify=off";

/// What is logged, and can be changed.
pub(crate) struct LogControl {
    configured: String,
    present: Mutex<String>,
    filter: reload::Handle<EnvFilter, Registry>,
}

/// Starts logging, and tracing beside it. Once in the life of the process.
pub(crate) fn start(log: &Log, tracing: Option<&Tracing>) -> Arc<LogControl> {
    // What is asked for stands behind, and wins. It has been judged with the configuration.
    let filter = EnvFilter::try_new(format!("{QUIET},{},{FOR_TRACES}", log.level))
        .unwrap_or_else(|_| EnvFilter::new("info"));
    let (filter, handle) = reload::Layer::new(filter);
    let for_people = match log.format {
        LogFormat::Auto => std::io::stderr().is_terminal(),
        LogFormat::Human => true,
        LogFormat::Json => false,
    };
    // An event that cannot be written is lost: to complain of it on the same full disk would be a panic.
    let lines = fmt::layer().with_writer(std::io::stderr).log_internal_errors(false);
    let lines = if for_people {
        lines.with_ansi(std::io::stderr().is_terminal()).boxed()
    } else {
        lines.json().flatten_event(true).with_current_span(true).with_span_list(false).boxed()
    };
    let traces = tracing.map(Tracing::layer);
    tracing_subscriber::registry().with(lines.with_filter(filter)).with(traces).init();
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        let payload = panic.payload();
        let reason =
            payload.downcast_ref::<&str>().copied().or(payload.downcast_ref::<String>().map(String::as_str));
        tracing::error!(place, reason, "something panicked");
    }));
    tracing::debug!(level = log.level, "logging has begun");
    let configured = log.level.clone();
    Arc::new(LogControl { present: Mutex::new(configured.clone()), configured, filter: handle })
}

impl LogLevel for LogControl {
    fn current(&self) -> String {
        self.present.lock().clone()
    }

    fn configured(&self) -> String {
        self.configured.clone()
    }

    fn set(&self, level: &str) -> Result<(), String> {
        const TAKES: &str =
            "it takes error, warn, info, debug or trace, or by target as in info,credit_wallet=debug";
        if !is_log_filter(level) {
            return Err(TAKES.to_owned());
        }
        let filter = EnvFilter::try_new(format!("{QUIET},{level},{FOR_TRACES},{NEVER}"))
            .map_err(|_| TAKES.to_owned())?;
        let mut present = self.present.lock();
        self.filter.reload(filter).map_err(|_| "nothing is logged any more".to_owned())?;
        level.clone_into(&mut present);
        Ok(())
    }
}

/// The traces, as the front door wants them.
pub(crate) struct JoinedTraces(pub(crate) Tracing);

impl Traces for JoinedTraces {
    fn join(&self, span: &Span, traceparent: &str, tracestate: &str) -> Option<String> {
        self.0.join(span, traceparent, tracestate)
    }
}
