//! The same operations on the embedded store and on MongoDB: the same answers, refusals and states.

use credit_core::testkit::differential;
use credit_infra::embedded::{EmbeddedOptions, EmbeddedStore};

use super::NOW;

/// Random sequences of each port.
const SEQUENCES: u64 = 2000;

/// Of each sequence. A step here costs the server a hundred times what it costs a file.
const STEPS: u32 = 12;

/// How many runs go on side by side: a run waits for the server most of the time.
const SIDE_BY_SIDE: u64 = 16;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_thousand_sequences_of_each_port_end_as_on_the_embedded_store() {
    let begun = std::time::Instant::now();
    let runs = (0..SIDE_BY_SIDE).map(|first| {
        let seeds = (first..SEQUENCES).step_by(usize::try_from(SIDE_BY_SIDE).unwrap());
        tokio::spawn(async move {
            // A database of its own: the lists of applications and books are compared too.
            let store = super::fresh().await;
            let (journal, documents) = (store.journal(), store.documents());
            let embedded = EmbeddedStore::open_in_memory(EmbeddedOptions::new(NOW, 42)).unwrap();
            let (embedded_journal, embedded_documents) = (embedded.journal(), embedded.documents());
            let mut done = 0;
            for seed in seeds {
                tokio::join!(
                    differential::documents_in(STEPS, seed, &*embedded_documents, &*documents),
                    differential::journals_in(STEPS, seed, &*embedded_journal, &*journal),
                );
                done += 1;
            }
            assert_eq!(embedded.failed(), None);
            done
        })
    });
    let mut done = 0;
    for run in runs.collect::<Vec<_>>() {
        done += run.await.unwrap();
    }
    assert_eq!(done, SEQUENCES);
    println!("{done} sequences of each port in {:?}", begun.elapsed());
}
