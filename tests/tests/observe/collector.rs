//! A collector of traces: takes OTLP over HTTP, as protobuf, and keeps what it was sent.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use parking_lot::Mutex;
use prost::Message;

/// A span that has arrived.
#[derive(Debug, Clone)]
pub(crate) struct Arrived {
    pub(crate) service: String,
    pub(crate) name: String,
    pub(crate) trace_id: String,
    pub(crate) span_id: String,
    pub(crate) parent_id: String,
    pub(crate) attributes: Vec<(String, String)>,
}

/// Listens for as long as the test runs.
pub(crate) struct Collector {
    endpoint: String,
    arrived: Arc<Mutex<Vec<Arrived>>>,
    headers: Arc<Mutex<Vec<String>>>,
}

impl Collector {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
        let (arrived, headers) =
            (Arc::<Mutex<Vec<Arrived>>>::default(), Arc::<Mutex<Vec<String>>>::default());
        let (kept, seen) = (arrived.clone(), headers.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (kept, seen) = (kept.clone(), seen.clone());
                std::thread::spawn(move || serve(&stream, &kept, &seen));
            }
        });
        Self { endpoint, arrived, headers }
    }

    /// Where it listens.
    pub(crate) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// The headers that came with the spans.
    pub(crate) fn headers(&self) -> Vec<String> {
        self.headers.lock().clone()
    }

    /// What has arrived of a trace.
    pub(crate) fn trace(&self, id: &str) -> Vec<Arrived> {
        self.arrived.lock().iter().filter(|span| span.trace_id == id).cloned().collect()
    }

    /// What has arrived of a trace, once it holds; half a minute at most.
    pub(crate) fn until(&self, id: &str, holds: impl Fn(&[Arrived]) -> bool) -> Vec<Arrived> {
        let limit = Instant::now() + Duration::from_secs(30);
        loop {
            let trace = self.trace(id);
            if holds(&trace) {
                return trace;
            }
            assert!(Instant::now() < limit, "of {id} came {trace:#?}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// Answers calls on one connection until it ends.
fn serve(stream: &TcpStream, arrived: &Mutex<Vec<Arrived>>, headers: &Mutex<Vec<String>>) {
    let mut reader = BufReader::new(stream);
    while let Some((body, told)) = read(&mut reader) {
        headers.lock().extend(told);
        let request = ExportTraceServiceRequest::decode(body.as_slice()).expect("spans");
        arrived.lock().extend(spans(request));
        let mut answer = stream;
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n";
        if answer.write_all(head.as_bytes()).is_err() {
            return;
        }
    }
}

/// One message with its headers; none at the end.
fn read(reader: &mut impl BufRead) -> Option<(Vec<u8>, Vec<String>)> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
    assert!(line.starts_with("POST /v1/traces "), "{line}");
    let (mut length, mut headers) = (0, Vec::new());
    loop {
        line.clear();
        reader.read_line(&mut line).ok()?;
        let header = line.trim_end();
        if header.is_empty() {
            break;
        }
        if let Some(value) = header.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().expect("a length");
        }
        headers.push(header.to_owned());
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some((body, headers))
}

fn spans(request: ExportTraceServiceRequest) -> Vec<Arrived> {
    use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};
    let hex = |bytes: &[u8]| bytes.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
    let told = |pairs: &[KeyValue]| -> Vec<(String, String)> {
        let text = |value: &Value| match value {
            Value::StringValue(text) => text.clone(),
            other => format!("{other:?}"),
        };
        let value = |pair: &KeyValue| {
            pair.value.as_ref().and_then(|any| any.value.as_ref()).map_or_else(String::new, text)
        };
        pairs.iter().map(|pair| (pair.key.clone(), value(pair))).collect()
    };
    let mut all = Vec::new();
    for resource in request.resource_spans {
        let of_resource = told(&resource.resource.unwrap_or_default().attributes);
        let service =
            of_resource.iter().find(|(name, _)| name == "service.name").map(|(_, name)| name.clone());
        for span in resource.scope_spans.into_iter().flat_map(|scope| scope.spans) {
            all.push(Arrived {
                service: service.clone().unwrap_or_default(),
                name: span.name,
                trace_id: hex(&span.trace_id),
                span_id: hex(&span.span_id),
                parent_id: hex(&span.parent_span_id),
                attributes: told(&span.attributes),
            });
        }
    }
    all
}
