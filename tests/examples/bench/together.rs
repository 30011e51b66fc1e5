//! One process beside three that hand each other commands, in turns.
//!
//! A machine that others use too is faster and slower by the minute, and a larger database is slower. So the four processes
//! stay up, the load goes from the one to the three and back every few seconds (one three, three one, one three …), and each
//! turn of the three is compared with the turn of the one next to it. Both have a book of their own in one database. The
//! younger one makes a few in a hundred more, whoever writes it, so that after half of the turns they change books.
//!
//! The three find each other in a directory, as processes on one machine do; `BENCH_TCP=1` has them ask by TCP.

use anyhow::ensure;
use credit_infra::testkit::mongod::Mongo;
use credit_tests::server::Server;

use crate::mongo::{ONE, serve, serve_with, setting};
use crate::three::{Bench, Handing, Rates, Tenant, stop};

/// How long each side works before it is measured: what a process reads once is read then, and the three have found out
/// which of them writes.
const WARM_SECONDS: u32 = 6;

/// Ratios of three to one, pair by pair.
#[derive(Default)]
struct Pairs(Vec<f64>);

impl Pairs {
    /// Their geometric mean, and how far it may be off: one standard error, if there are two or more.
    fn told(&self) -> String {
        let logs: Vec<f64> = self.0.iter().map(|ratio| ratio.ln()).collect();
        let count = f64::from(u32::try_from(logs.len()).unwrap_or(u32::MAX));
        let mean = logs.iter().sum::<f64>() / count;
        let spread = logs.iter().map(|log| (log - mean).powi(2)).sum::<f64>() / (count - 1.0);
        let each: Vec<String> = self.0.iter().map(|ratio| format!("{ratio:.2}")).collect();
        let error = mean.exp() * (spread / count).sqrt();
        let error = if error.is_finite() { format!(" ± {error:.3}") } else { String::new() };
        format!("{:.3}{error} ({})", mean.exp(), each.join(", "))
    }
}

/// Measures `BENCH_ROUNDS` pairs on each of two books, `seconds` for each side of a pair.
pub(crate) fn measure(
    mongo: &Mongo,
    first: Server,
    wallets: Vec<String>,
    seconds: u32,
) -> anyhow::Result<()> {
    let (connections, rounds) = (setting("BENCH_CONNECTIONS", 256)?, setting("BENCH_ROUNDS", 3)?);
    ensure!(connections >= 3, "BENCH_CONNECTIONS is {connections}: three processes need one each");
    ensure!(rounds > 0, "BENCH_ROUNDS is 0: there would be nothing to compare");
    let count = wallets.len();
    let shops = [Tenant { key: first.api_key().to_owned(), wallets }, Tenant::make(&first, count)];
    stop([first])?;
    println!("\none process beside three that hand each other commands, {connections} connections together");
    let (mut answered, mut shown) = (Pairs::default(), Pairs::default());
    for book in 0..2 {
        let (of_one, of_three) = (&shops[book], &shops[1 - book]);
        let one = serve(mongo, ONE)?;
        let house = Handing::new()?;
        let more = [&[("CREDIT_SERVER__WORKERS", "1")], &house.settings()?[..]].concat();
        let three = (0..3).map(|_| serve_with(mongo, ONE, &more)).collect::<anyhow::Result<Vec<_>>>()?;
        let alone = [(&one, of_one)];
        let together: Vec<(&Server, &Tenant)> = three.iter().map(|server| (server, of_three)).collect();
        let bench = |turn: &str| Bench { mongo, connections, seconds, part: format!("{book}-{turn}") };
        for side in [&alone[..], &together[..]] {
            bench("warm").load(&format!("of-{}", side.len()), side, WARM_SECONDS)?;
        }
        for round in 0..rounds {
            let turn = |side: &[(&Server, &Tenant)]| -> anyhow::Result<Rates> {
                println!("{}:", if side.len() == 1 { "one" } else { "three" });
                bench(&round.to_string()).measure(&format!("of-{}", side.len()), side)
            };
            let (by_one, by_three) = if round % 2 == 0 {
                let by_one = turn(&alone)?;
                (by_one, turn(&together)?)
            } else {
                let by_three = turn(&together)?;
                (turn(&alone)?, by_three)
            };
            answered.0.push(by_three.answered / by_one.answered);
            shown.0.push(by_three.shown / by_one.shown);
        }
        stop(three.into_iter().chain([one]))?;
    }
    println!("answered: three that hand each other commands: {} of one", answered.told());
    println!("shown: three that hand each other commands: {} of one", shown.told());
    Ok(())
}
