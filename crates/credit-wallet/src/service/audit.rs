//! Sums and replays the ledger, for whoever looks after the house.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use credit_api::ports::{AssetTotals, Difference, LedgerAudit, VerifyReport};
use credit_core::ports::journal::Journal;
use credit_core::{AssetCode, Problem};
use serde_json::Map;

use super::Counter;
use super::shelves::fresh;
use crate::ledger::{Book, Totals, verify_book};

/// The auditor of all books.
pub struct Auditor {
    counter: Arc<Counter>,
    journal: Arc<dyn Journal>,
}

impl Auditor {
    /// An auditor of the counter's books, which are kept in this journal.
    pub fn new(counter: Arc<Counter>, journal: Arc<dyn Journal>) -> Self {
        Self { counter, journal }
    }

    async fn books(&self) -> Result<Vec<Arc<Book>>, Problem> {
        let mut books = Vec::new();
        for app in self.journal.books().await? {
            books.push(self.counter.book(app).await?);
        }
        Ok(books)
    }
}

#[async_trait]
impl LedgerAudit for Auditor {
    async fn trial_balance(&self) -> Result<Vec<AssetTotals>, Problem> {
        let known = self.counter.all_assets().await?;
        let known = known.into_iter().map(|asset| asset.code).chain([AssetCode::CREDIT]);
        let mut sums: BTreeMap<AssetCode, Totals> = known.map(|code| (code, Totals::default())).collect();
        for book in self.books().await? {
            book.refresh().await?;
            for (asset, totals) in book.totals() {
                let sum = sums.entry(asset).or_default();
                sum.debits += totals.debits;
                sum.credits += totals.credits;
            }
        }
        let totals = |(asset, sum): (AssetCode, Totals)| AssetTotals {
            asset,
            debits: sum.debits,
            credits: sum.credits,
        };
        let mut totals: Vec<AssetTotals> = sums.into_iter().map(totals).collect();
        totals.sort_by(|left, right| left.asset.as_str().cmp(right.asset.as_str()));
        Ok(totals)
    }

    async fn verify(&self) -> Result<VerifyReport, Problem> {
        let mut checked: BTreeMap<&str, u64> = BTreeMap::new();
        let mut differences = Vec::new();
        for book in self.books().await? {
            fresh(&book).await?;
            let replayed = verify_book(&self.journal, &self.counter.parts.documents, book.id()).await?;
            let counts = [
                ("books", 1),
                ("groups", replayed.head),
                ("records", replayed.records),
                ("transactions", replayed.transactions),
                ("wallets", u64::try_from(replayed.wallets.len()).unwrap_or(u64::MAX)),
                ("claims", u64::try_from(replayed.claims.len()).unwrap_or(u64::MAX)),
            ];
            for (kind, count) in counts {
                *checked.entry(kind).or_default() += count;
            }
            differences.extend(replayed.differences.into_iter().map(|found| Difference {
                subject: format!("book {}", book.id()),
                expected: "what is kept follows from the journal".to_owned(),
                found,
            }));
        }
        let checked: Map<_, _> =
            checked.into_iter().map(|(kind, count)| (kind.to_owned(), count.into())).collect();
        Ok(VerifyReport { ok: differences.is_empty(), checked, differences })
    }
}
