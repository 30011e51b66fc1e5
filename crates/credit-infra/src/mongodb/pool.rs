//! How many connections there are, as the driver tells it.

use mongodb::event::EventHandler;
use mongodb::event::cmap::CmapEvent;

/// Keeps the gauge of the pool by what happens in it: one that is made or given back is idle, one that is taken is used.
pub(super) fn watch() -> EventHandler<CmapEvent> {
    let gauge = |state: &'static str| metrics::gauge!("credit_pool_connections", "pool" => "mongodb", "state" => state);
    let (idle, used) = (gauge("idle"), gauge("used"));
    EventHandler::callback(move |event| match event {
        CmapEvent::ConnectionCreated(_) => idle.increment(1.0),
        // The driver takes a connection back before it closes it.
        CmapEvent::ConnectionClosed(_) => idle.decrement(1.0),
        CmapEvent::ConnectionCheckedOut(_) => {
            idle.decrement(1.0);
            used.increment(1.0);
        }
        CmapEvent::ConnectionCheckedIn(_) => {
            used.decrement(1.0);
            idle.increment(1.0);
        }
        _ => {}
    })
}
