use std::io::Read;

use credit_tests::client::Client;
use credit_tests::server::Server;
use credit_tests::story::{purchase, register};

const CPU: &str = "/v1/debug/pprof/profile?seconds=1";
const HEAP: &str = "/v1/debug/pprof/heap";

/// The names of functions in a profile: texts of a protobuf that is packed by gzip.
fn unpacked(packed: &[u8]) -> Vec<u8> {
    assert_eq!(&packed[..2], [0x1f, 0x8b], "gzip");
    let mut bytes = Vec::new();
    flate2::read::GzDecoder::new(packed).read_to_end(&mut bytes).expect("whole");
    bytes
}

fn take(admin: &Client, path: &str) -> Vec<u8> {
    let answer = admin.bytes(path);
    assert_eq!(answer.0, 200, "{}", String::from_utf8_lossy(&answer.1));
    unpacked(&answer.1)
}

/// As much of `pprof`'s `Profile` as tells that it is one.
#[derive(prost::Message)]
struct Profile {
    #[prost(message, repeated, tag = "1")]
    sample_type: Vec<ValueType>,
    #[prost(string, repeated, tag = "6")]
    string_table: Vec<String>,
}

#[derive(prost::Message)]
struct ValueType {
    #[prost(int64, tag = "1")]
    kind: i64,
    #[prost(int64, tag = "2")]
    unit: i64,
}

fn read(bytes: &[u8]) -> Vec<(String, String)> {
    let profile = <Profile as prost::Message>::decode(bytes).expect("a profile");
    let text = |place: i64| profile.string_table[usize::try_from(place).expect("a place")].clone();
    assert_eq!(profile.string_table.first().map(String::as_str), Some(""));
    profile.sample_type.iter().map(|of| (text(of.kind), text(of.unit))).collect()
}

#[test]
fn an_admin_sees_where_time_goes_and_what_holds_memory() {
    let server = Server::start(&[("CREDIT_PROFILING__ENABLED", "true")]).expect("a server");
    let admin = server.admin();
    let owner = register(&server.app());
    let busy = std::thread::scope(|scope| {
        let taken = scope.spawn(|| take(&admin, CPU));
        for _ in 0..50 {
            purchase(&server.app(), &owner.wallet, 1);
        }
        taken.join().expect("taken")
    });
    let kinds = read(&busy);
    assert!(kinds.contains(&("cpu".to_owned(), "nanoseconds".to_owned())), "{kinds:?}");
    let kinds = read(&take(&admin, HEAP));
    assert!(kinds.iter().any(|(kind, unit)| kind.contains("space") && unit == "bytes"), "{kinds:?}");
    assert_eq!(server.app().get(HEAP).status, 403);
    assert_eq!(server.nobody().get(CPU).status, 401);
}

#[test]
fn unless_it_is_switched_on_there_is_nothing() {
    let server = Server::start(&[]).expect("a server");
    let admin = server.admin();
    for path in [CPU, HEAP] {
        admin.get(path).expect(404);
    }
}
