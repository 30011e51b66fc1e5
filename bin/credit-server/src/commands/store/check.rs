//! `store check` and `store migrate`

use anyhow::anyhow;
use credit_infra::mongodb::{CollectionStatus, ConnectError, MongoStatus, MongoStore};

use crate::commands::block_on;
use crate::commands::side::{Side, named};
use crate::config::{Settings, Store};
use crate::exit::{Exit, Failure};
use crate::print;
use crate::wiring::mongodb;

/// Says that the store can be worked on, and what a start would make of it, or why it cannot.
pub(crate) fn check(settings: &Settings) -> Result<(), Failure> {
    let missing = block_on(async {
        match settings.store {
            Store::Embedded => open_and_close(settings).await.map(|()| Vec::new()),
            Store::Mongodb => {
                let status = MongoStore::check(mongodb::options(named(settings)?)).await.map_err(refused)?;
                refuse_wrong(&status)?;
                Ok(of_each(&status, |collection| &collection.missing))
            }
        }
    })??;
    print::text("the store can be worked on\n");
    for what in missing {
        print::text(&format!("a start or credit-server store migrate will make: {what}\n"));
    }
    Ok(())
}

/// Makes and brings up to date what the store needs.
pub(crate) fn migrate(settings: &Settings) -> Result<(), Failure> {
    block_on(async {
        match settings.store {
            Store::Embedded => open_and_close(settings).await,
            Store::Mongodb => {
                let status =
                    MongoStore::migrate(mongodb::options(named(settings)?)).await.map_err(refused)?;
                refuse_wrong(&status)?;
                match of_each(&status, |collection| &collection.missing).as_slice() {
                    [] => Ok(()),
                    still => Err(Failure::new(Exit::Store, anyhow!("still missing: {}", still.join(", ")))),
                }
            }
        }
    })??;
    print::text("the store is up to date\n");
    Ok(())
}

/// An embedded store that opens is whole and up to date: that is what opening sees to.
async fn open_and_close(settings: &Settings) -> Result<(), Failure> {
    Ok(Side::configured(settings).await?.close().await?)
}

fn refused(error: ConnectError) -> Failure {
    Failure::new(Exit::Store, error)
}

/// What only the operator may mend.
fn refuse_wrong(status: &MongoStatus) -> Result<(), Failure> {
    match of_each(status, |collection| &collection.wrong).as_slice() {
        [] => Ok(()),
        wrong => Err(Failure::new(Exit::Store, anyhow!("{}", wrong.join("\n")))),
    }
}

fn of_each(status: &MongoStatus, what: impl Fn(&CollectionStatus) -> &Vec<String>) -> Vec<String> {
    let of = |collection: &CollectionStatus| {
        what(collection).iter().map(|what| format!("{}: {what}", collection.name)).collect::<Vec<_>>()
    };
    status.collections.iter().flat_map(of).collect()
}
