//! One group into one slot.
//!
//! `insert` as a command, which the driver does not repeat by itself: what the server says of an attempt is then said of
//! that attempt, and what an earlier one may have done is not forgotten over it. A passing fault that
//! may have written it is met by the same insert again, once; a slot takes it once however often it comes.

use credit_core::ports::StoreError;
use mongodb::bson::{Bson, Document, RawDocumentBuf};

use super::error::{DUPLICATE_KEY, Failed, is_duplicate, is_passing_code};
use super::link::Link;

/// How often an append is sent before its caller is told that its outcome is not known.
const ATTEMPTS: u32 = 2;

/// What became of an insert.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Inserted {
    /// A majority has it.
    Done,
    /// There is one with this id, by us or by another.
    Filled,
}

/// Why it is not known to be there.
struct Fault {
    why: String,
    /// It was certainly not written by this attempt.
    is_certain: bool,
    passes: bool,
}

/// Runs the insert of one document unless its id is taken. [`StoreError::Unavailable`] only if none of the attempts can
/// have written it.
pub(super) async fn insert(link: &Link, command: &RawDocumentBuf) -> Result<Inserted, StoreError> {
    // Why an attempt may have happened, or may yet.
    let mut doubt: Option<String> = None;
    let mut attempt = 1;
    loop {
        let fault = match once(link, command.clone()).await {
            Ok(inserted) => return Ok(inserted),
            Err(fault) => fault,
        };
        let Fault { why, is_certain, passes } = fault;
        if is_certain {
            return Err(doubt.map_or(StoreError::Unavailable(why), StoreError::OutcomeUnknown));
        }
        if !passes || attempt == ATTEMPTS {
            return Err(StoreError::OutcomeUnknown(why));
        }
        doubt = Some(why);
        attempt += 1;
    }
}

async fn once(link: &Link, command: RawDocumentBuf) -> Result<Inserted, Fault> {
    let own = link.clone();
    let call = async move {
        let mut session = own.session().await?;
        let reply = own.database.run_raw_command(command).session(&mut session).await;
        own.note(&session);
        reply
    };
    match link.call(call).await {
        Ok(reply) => read(&reply),
        Err(Failed::Driver(error)) if is_duplicate(&error) => Ok(Inserted::Filled),
        Err(failed) => {
            let passes = failed.is_passing();
            let why = failed.why();
            Err(Fault { is_certain: matches!(failed.write_once(), StoreError::Unavailable(_)), why, passes })
        }
    }
}

/// A command does not raise what its statements were refused for.
fn read(reply: &Document) -> Result<Inserted, Fault> {
    let mut errors = reply.get_array("writeErrors").into_iter().flatten();
    if let Some(error) = errors.find_map(Bson::as_document) {
        return match error.get_i32("code") {
            Ok(DUPLICATE_KEY) => Ok(Inserted::Filled),
            code => Err(Fault {
                why: error.get_str("errmsg").unwrap_or("the group was refused").to_owned(),
                is_certain: true,
                passes: code.is_ok_and(is_passing_code),
            }),
        };
    }
    match reply.get_document("writeConcernError") {
        Ok(concern) => Err(Fault {
            why: concern.get_str("errmsg").unwrap_or("no majority").to_owned(),
            is_certain: false,
            passes: concern.get_i32("code").is_ok_and(is_passing_code),
        }),
        Err(_) => Ok(Inserted::Done),
    }
}

#[cfg(test)]
mod tests {
    use mongodb::bson::doc;

    use super::*;

    fn fault(reply: &Document) -> (bool, bool) {
        read(reply).map_err(|fault| (fault.is_certain, fault.passes)).expect_err("a fault")
    }

    #[test]
    fn a_reply_is_read_by_its_statement_first_and_then_by_its_majority() {
        let concern = doc! {"code": 64, "errmsg": "waiting for replication timed out"};
        assert_eq!(read(&doc! {"ok": 1.0, "n": 1}).ok(), Some(Inserted::Done));
        let filled =
            doc! {"writeErrors": [{"index": 0, "code": 11_000}], "writeConcernError": concern.clone()};
        assert_eq!(read(&filled).ok(), Some(Inserted::Filled));
        assert_eq!(fault(&doc! {"writeErrors": [{"index": 0, "code": 121}]}), (true, false));
        assert_eq!(fault(&doc! {"writeConcernError": concern}), (false, true));
        assert_eq!(fault(&doc! {"writeConcernError": {"code": 100}}), (false, false));
    }
}
