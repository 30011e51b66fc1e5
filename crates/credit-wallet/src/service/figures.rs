//! What the business looks at: how many wallets there are, what holds keep, what expires soon. Counted little by little
//! over the views, and told when all have been looked at.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use credit_core::ports::StoreError;
use credit_core::ports::documents::{Key, Position, Query};
use credit_core::{AppId, Timestamp};
use parking_lot::Mutex;

use super::Counter;
use crate::domain::{Wallet, WalletStatus};
use crate::ledger::{asset_label, number, views, wide};

/// Wallets read at a time.
const PAGE: usize = 500;
/// What expires is told for these times from now on, in seconds.
const SOON: [(&str, i64); 2] = [("24h", 24 * 3600), ("7d", 7 * 24 * 3600)];

/// Counts wallets. One for a process.
#[derive(Default)]
pub struct Figures {
    /// Where the present round has come to, with its sums.
    round: tokio::sync::Mutex<Round>,
    told: Mutex<Told>,
}

/// What has been told, and when.
#[derive(Default)]
struct Told {
    at: Option<Instant>,
    assets: BTreeSet<String>,
}

#[derive(Default)]
struct Round {
    place: Option<(AppId, Option<Position>)>,
    sums: Sums,
}

/// What was counted so far.
#[derive(Debug, Default, PartialEq, Eq)]
struct Sums {
    wallets: usize,
    assets: BTreeMap<String, OfAsset>,
}

#[derive(Debug, Default, PartialEq, Eq)]
struct OfAsset {
    held: i128,
    expiring: [i128; SOON.len()],
}

impl Sums {
    fn add(&mut self, wallet: &Wallet, now: Timestamp) {
        if wallet.status != WalletStatus::Closed {
            self.wallets += 1;
        }
        let asset = self.assets.entry(asset_label(wallet.asset)).or_default();
        asset.held += i128::from(wallet.held());
        for (sum, (_, seconds)) in asset.expiring.iter_mut().zip(SOON) {
            let until = now.plus_seconds(seconds);
            let expires = |lot: &&crate::domain::Lot| {
                !lot.is_due(now) && lot.expires_at.is_some_and(|expiry| expiry <= until)
            };
            *sum += wallet.lots.iter().filter(expires).map(|lot| i128::from(lot.free())).sum::<i128>();
        }
    }
}

impl Figures {
    /// Looks at so many more wallets. Once all have been looked at, the gauges are set and it begins anew. Answers whether
    /// they were.
    pub async fn go_on(&self, counter: &Counter, wallets: usize) -> Result<bool, StoreError> {
        let documents = &counter.parts.documents;
        let mut round = self.round.lock().await;
        let mut apps = documents.apps(&views::WALLETS).await?;
        apps.sort_unstable();
        let mut left = wallets;
        while left > 0 {
            let (app, after) = match round.place.take() {
                Some((app, after)) if apps.contains(&app) => (app, after),
                place => {
                    let next = apps.iter().find(|app| place.as_ref().is_none_or(|(gone, _)| *app > gone));
                    let Some(next) = next else {
                        self.tell(std::mem::take(&mut *round).sums);
                        return Ok(true);
                    };
                    (*next, None)
                }
            };
            let query =
                Query { after: after.clone(), ..Query::new(&views::WALLETS, None, Key::empty(), PAGE) };
            let rows = match documents.query(app, query).await {
                Ok(rows) => rows,
                Err(error) => {
                    // The next look goes on here.
                    round.place = Some((app, after));
                    return Err(error);
                }
            };
            let now = counter.parts.clock.now();
            // One that cannot be read is not for here to complain of: the reconciliation finds it.
            for wallet in rows.iter().filter_map(|row| views::read::<Wallet>(&row.document).ok()) {
                round.sums.add(&wallet, now);
            }
            left = left.saturating_sub(rows.len().max(1));
            let is_last = rows.len() < PAGE;
            let behind = apps.iter().find(|next| **next > app);
            round.place = match (is_last, behind) {
                (false, _) => rows.last().map(|row| (app, Some(row.position.clone()))),
                (true, Some(next)) => Some((*next, None)),
                (true, None) => {
                    self.tell(std::mem::take(&mut *round).sums);
                    return Ok(true);
                }
            };
        }
        Ok(false)
    }

    /// How long ago all were counted: set when somebody looks.
    pub fn measure(&self) {
        if let Some(at) = self.told.lock().at {
            metrics::gauge!("credit_business_figures_age_seconds").set(at.elapsed().as_secs_f64());
        }
    }

    fn tell(&self, mut sums: Sums) {
        let mut told = self.told.lock();
        // An asset without a wallet any more is told as 0 from now on.
        for asset in &told.assets {
            sums.assets.entry(asset.clone()).or_default();
        }
        metrics::gauge!("credit_wallets").set(number(sums.wallets));
        for (asset, of_asset) in &sums.assets {
            metrics::gauge!("credit_credits_held", "asset" => asset.clone()).set(wide(of_asset.held));
            for ((within, _), sum) in SOON.into_iter().zip(of_asset.expiring) {
                metrics::gauge!("credit_credits_expiring", "asset" => asset.clone(), "within" => within)
                    .set(wide(sum));
            }
        }
        told.assets = sums.assets.into_keys().collect();
        told.at = Some(Instant::now());
    }
}
