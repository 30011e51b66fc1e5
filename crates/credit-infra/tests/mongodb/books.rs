//! Lists and books of any length over a network that takes its time, behind the deadlines of the service.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use credit_core::AppId;
use credit_core::ports::documents::Documents;
use credit_core::ports::journal::{Appended, Group, Journal};
use credit_core::testkit::documents_contract::PEOPLE;
use credit_infra::mongodb::MongoStore;
use credit_infra::resilience::{Guard, GuardSettings, GuardedDocuments, GuardedJournal};
use credit_infra::testkit::mongod::{self, Mongo, Options};
use credit_infra::testkit::proxy::Mode;
use credit_infra::transfer::{KeptDocument, Transfer};
use mongodb::Client;
use mongodb::bson::doc;

use super::{APP, options};

const MANY: u128 = 3000;
/// Of books and applications that are long. The first ones are, and the last one.
const LONG: [u128; 3] = [1, 2, MANY];

/// A network with a slow way to the server.
fn slow(delay: Duration) -> Mongo {
    let mongo = Mongo::start(Options { proxied: true, in_memory: true, ..Options::one() });
    mongo.proxy(0).set(Mode::Delay(delay));
    mongo
}

fn guard(of: &'static str) -> Arc<Guard> {
    let mut settings = GuardSettings::network();
    // A page that takes long is no reason to give up here: only its deadline is.
    settings.breaker.slow_percent = 101;
    Guard::new(of, settings)
}

fn app(number: u128) -> AppId {
    // Spread over all bytes, so that their order is that of ids and not of their making.
    AppId::from_u128(number.wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835))
}

fn sorted(apps: impl IntoIterator<Item = AppId>) -> Vec<AppId> {
    let mut apps: Vec<_> = apps.into_iter().collect();
    apps.sort_unstable();
    apps
}

async fn fill(journal: &Arc<dyn Journal>) {
    let filling = (0..32).map(|first| {
        let journal = Arc::clone(journal);
        tokio::spawn(async move {
            for number in (1 + first..=MANY).step_by(32) {
                let last = if LONG.contains(&number) { 20 } else { 1 };
                for slot in 1..=last {
                    let group = Group { id: u128::from(slot), bytes: Bytes::from_static(b"g") };
                    assert_eq!(journal.append(app(number), slot, group).await, Ok(Appended::Appended));
                }
            }
        })
    });
    for one in filling.collect::<Vec<_>>() {
        one.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_thousand_books_are_listed_in_a_few_looks() {
    let mongo = slow(Duration::ZERO);
    let options = options(&mongo);
    let store = MongoStore::connect(options.clone()).await.unwrap();
    let journal = store.journal();
    fill(&journal).await;
    // A look at a book without groups leaves a fence there, and makes no book of it.
    assert_eq!(journal.head(AppId::from_u128(7)).await, Ok(0));
    mongo.proxy(0).set(Mode::Delay(Duration::from_millis(30)));

    let guarded = GuardedJournal::new(journal, guard("books"));
    let begun = Instant::now();
    let all = sorted((1..=MANY).map(app));
    assert_eq!(guarded.books().await.as_ref(), Ok(&all));
    // One by one they would have taken three minutes.
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
    assert_eq!(guarded.books_after(Some(all[41]), 3).await, Ok(all[42..45].to_vec()));
    assert_eq!(guarded.books_after(Some(all[2999]), 3).await, Ok(vec![]));
    assert_eq!(guarded.books_after(None, 0).await, Ok(vec![]));

    // By the index of books alone: not by a look at the slots.
    let find = doc! {
        "find": "journal",
        "filter": {"_id.s": 1},
        "sort": {"_id.b": 1},
        "projection": {"_id.b": 1, "_id.s": 1},
    };
    let admin = Client::with_uri_str(mongo.direct_uri(0)).await.unwrap().database(&options.database);
    let explained =
        admin.run_command(doc! {"explain": find, "verbosity": "executionStats"}).await.unwrap().to_string();
    let all_and_no_more = format!("\"totalKeysExamined\": {MANY}");
    assert!(explained.contains(&all_and_no_more) && !explained.contains("\"SORT\""), "{explained}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_thousand_applications_are_listed_in_a_few_looks() {
    let mongo = slow(Duration::ZERO);
    let store = MongoStore::connect(options(&mongo)).await.unwrap();
    let mut documents = Vec::new();
    for number in 1..=MANY {
        let of_this = if LONG.contains(&number) { 1200 } else { 1 };
        documents.extend((0..of_this).map(|id| KeptDocument {
            app: app(number),
            id: format!("{id:04}"),
            version: 1,
            body: Bytes::from_static(b"{}"),
            keys: Vec::new(),
        }));
    }
    for part in documents.chunks(1000) {
        store.import(&PEOPLE, part.to_vec()).await.unwrap();
    }
    mongo.proxy(0).set(Mode::Delay(Duration::from_millis(30)));

    let guarded = GuardedDocuments::new(store.documents(), guard("apps"));
    let begun = Instant::now();
    let all = sorted((1..=MANY).map(app));
    assert_eq!(guarded.apps(&PEOPLE).await.as_ref(), Ok(&all));
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
    assert_eq!(guarded.apps_after(&PEOPLE, Some(all[2998])).await, Ok(vec![all[2999]]));
    assert_eq!(guarded.apps_after(&PEOPLE, Some(all[2999])).await, Ok(vec![]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_book_of_large_groups_arrives_in_pages_that_each_have_the_deadline() {
    const GROUPS: u64 = 24;
    const BYTES: usize = 8 << 20;
    let mongo = slow(Duration::ZERO);
    let store = MongoStore::connect(options(&mongo)).await.unwrap();
    let journal = store.journal();
    let group = |slot: u64| Group {
        id: u128::from(slot),
        bytes: Bytes::from(vec![u8::try_from(slot).unwrap(); BYTES]),
    };
    for slot in 1..=GROUPS {
        assert_eq!(journal.append(APP, slot, group(slot)).await, Ok(Appended::Appended));
    }
    // A piece is 64 KiB at most: 8 MiB take a quarter of a second and more, all of them twice the deadline.
    mongo.proxy(0).set(Mode::Delay(Duration::from_millis(2)));
    let page = journal.read_page(APP, 1, 64).await.unwrap();
    assert!((1..=2).contains(&page.groups.len()) && !page.is_head, "{}", page.groups.len());

    let deadline = GuardSettings::network().read_deadline;
    let guarded = GuardedJournal::new(journal, guard("large groups"));
    let begun = Instant::now();
    let read = guarded.read(APP, 1, 64).await.unwrap();
    println!("{GROUPS} groups of 8 MiB in {:?}", begun.elapsed());
    assert!(begun.elapsed() > deadline, "{:?}: it would have passed in one call", begun.elapsed());
    assert_eq!(read.len(), usize::try_from(GROUPS).unwrap());
    assert!((1..).zip(&read).all(|(slot, (at, kept))| *at == slot && *kept == group(slot)));
    // The limit and the head hold as they do for small ones.
    let some = guarded.read(APP, 5, 3).await.unwrap();
    assert_eq!(some.iter().map(|(slot, _)| *slot).collect::<Vec<_>>(), [5, 6, 7]);
    assert_eq!(guarded.read(APP, GROUPS + 1, 64).await, Ok(vec![]));
}

#[tokio::test]
async fn the_head_is_seen_with_the_last_small_groups_and_costs_no_look_of_its_own() {
    let store = MongoStore::connect(options(mongod::shared())).await.unwrap();
    let journal = store.journal();
    for slot in 1..=5 {
        let group = Group { id: u128::from(slot), bytes: Bytes::from_static(b"g") };
        journal.append(APP, slot, group).await.unwrap();
    }
    let page = journal.read_page(APP, 4, 10).await.unwrap();
    assert_eq!((page.groups.len(), page.is_head), (2, true));
    assert!(!journal.read_page(APP, 1, 5).await.unwrap().is_head, "as many as asked for: more may follow");
    assert!(journal.read_page(APP, 6, 5).await.unwrap().is_head);
}
