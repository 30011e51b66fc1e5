//! What is counted of the ledger: what was posted, as it was appended, and how the books are, when somebody looks.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use credit_core::AssetCode;
use parking_lot::Mutex;

use super::book::Ledger;
use crate::domain::Record;

/// Admins make assets, and each is a series: beyond so many the rest is told together.
const MOST_ASSETS: usize = 100;
/// The name of the rest.
const OTHERS: &str = "other";

/// Which assets have series of their own: the first to come.
static ASSETS: Mutex<BTreeSet<AssetCode>> = Mutex::new(BTreeSet::new());

/// The label of an asset.
pub(crate) fn asset_label(asset: AssetCode) -> String {
    let mut known = ASSETS.lock();
    if known.contains(&asset) || (known.len() < MOST_ASSETS && known.insert(asset)) {
        asset.to_string()
    } else {
        OTHERS.to_owned()
    }
}

/// Counts what a group has posted. To be called once for a group, by whoever appended it.
pub(crate) fn count_posted(records: &[Arc<Record>]) {
    // A group has many transactions of few kinds.
    let mut sums: BTreeMap<(&'static str, AssetCode), (u64, u64)> = BTreeMap::new();
    for transaction in records.iter().flat_map(|record| &record.posted) {
        let (count, amount) = sums.entry((transaction.kind.as_str(), transaction.asset)).or_default();
        *count += 1;
        *amount = amount.saturating_add(u64::try_from(transaction.amount).unwrap_or_default());
    }
    for ((kind, asset), (count, amount)) in sums {
        let labels = [("type", kind.to_owned()), ("asset", asset_label(asset))];
        metrics::counter!("credit_transactions_total", &labels).increment(count);
        metrics::counter!("credit_transaction_amount_total", &labels).increment(amount);
    }
}

impl Ledger {
    /// Sets the gauges of the books to what they are now. Looks at memory only.
    pub fn measure(&self) {
        let books = self.open_books();
        // Without signs: what is missing in one book does not make up for what is too much in another.
        let mut apart: BTreeMap<String, i128> = BTreeMap::new();
        for (asset, sums) in books.iter().flat_map(|book| book.totals()) {
            let sum = apart.entry(asset_label(asset)).or_default();
            *sum = sum.saturating_add(sums.debits.saturating_sub(sums.credits).saturating_abs());
        }
        for (asset, sum) in apart {
            metrics::gauge!("credit_ledger_imbalance", "asset" => asset).set(wide(sum));
        }
        let lag = books.iter().map(|book| book.lag()).max().unwrap_or_default();
        let queued = books.iter().map(|book| book.queued()).sum();
        let cached = books.iter().map(|book| book.cached_wallets()).sum();
        let broken = books.iter().filter(|book| book.fault().is_some()).count();
        metrics::gauge!("credit_ledger_view_lag_records").set(number(lag));
        metrics::gauge!("credit_ledger_queue_commands").set(number(queued));
        metrics::gauge!("credit_ledger_cached_wallets").set(number(cached));
        metrics::gauge!("credit_ledger_books").set(number(books.len()));
        metrics::gauge!("credit_ledger_broken_books").set(number(broken));
    }
}

/// A count as a gauge has it.
pub(crate) fn number(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

/// A sum as a gauge has it: exact up to 2^53, and never 0 unless it is.
pub(crate) fn wide(sum: i128) -> f64 {
    let magnitude = sum.unsigned_abs();
    let (high, low) = (magnitude >> 32, magnitude & u128::from(u32::MAX));
    let part = |bits: u128| f64::from(u32::try_from(bits).unwrap_or(u32::MAX));
    let value = part(high) * 4_294_967_296.0 + part(low);
    if sum < 0 { -value } else { value }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_is_told_exactly_as_far_as_a_gauge_can() {
        for (sum, told) in [
            (0, 0.0),
            (1, 1.0),
            (-1, -1.0),
            (4_294_967_295, 4_294_967_295.0),
            (4_294_967_297, 4_294_967_297.0),
            (-9_007_199_254_740_991, -9_007_199_254_740_991.0),
        ] {
            assert!((wide(sum) - told).abs() < f64::EPSILON, "{sum}");
        }
    }

    #[test]
    fn each_asset_has_its_own_series_until_there_are_too_many() {
        let code = |number: usize| AssetCode::parse(&format!("M{number:04}")).expect("a code");
        let labels: BTreeSet<String> = (0..1000).map(|number| asset_label(code(number))).collect();
        assert!(labels.len() <= MOST_ASSETS + 1, "{}", labels.len());
        assert!(labels.contains(OTHERS));
        assert_eq!(asset_label(code(0)), "M0000", "the first to come keep theirs");
    }
}
