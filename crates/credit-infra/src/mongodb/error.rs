//! Why the store could not be connected, and what the driver's errors are called in the house.

use credit_core::ports::StoreError;
use mongodb::error::{Error, ErrorKind, WriteFailure};

/// The code of a key that is there already.
pub(super) const DUPLICATE_KEY: i32 = 11_000;

/// The store cannot be used. Each sentence says what to do.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The setting itself does not read. The address is not shown: it may hold a password.
    #[error(
        "store.mongodb.uri is not an address of MongoDB ({why}); write mongodb://HOST:PORT/?replicaSet=NAME"
    )]
    Address {
        /// What is wrong with it.
        why: String,
    },
    /// Nobody answers. Asking again may help.
    #[error(
        "no primary of MongoDB answers at store.mongodb.uri within {seconds} s ({why}); see that the replica set \
         runs, has a primary and can be reached from here"
    )]
    Unreachable {
        /// How long was waited.
        seconds: u64,
        /// The driver's words.
        why: String,
    },
    /// One server without a replica set: nothing can be committed by a majority.
    #[error(
        "store.mongodb.uri names a MongoDB that is neither a replica set nor a sharded cluster; start mongod with \
         --replSet NAME and run rs.initiate() once, a set of one is enough"
    )]
    Standalone,
    /// What a majority has may be lost with the power.
    #[error(
        "the MongoDB at store.mongodb.uri does not journal what a majority commits; set \
         writeConcernMajorityJournalDefault to true in the configuration of its replica set (rs.reconfig)"
    )]
    NotJournalled,
    /// A release before the oldest one that is supported.
    #[error(
        "the MongoDB at store.mongodb.uri is {found}, and 6.0 is the oldest that is supported; upgrade it"
    )]
    TooOld {
        /// Its version.
        found: String,
    },
    /// The user is not known, or may not do what is needed.
    #[error(
        "MongoDB refuses the user in store.mongodb.uri ({why}); give it the role readWrite on the database \
         {database} (db.grantRolesToUser), and check its name, password and authSource"
    )]
    Rights {
        /// Which database is used.
        database: String,
        /// The server's words.
        why: String,
    },
    /// Another store stands in this place.
    #[error(
        "the database {database} at store.mongodb.uri holds the store {found}, and this deployment belongs to the \
         store {expected}; point store.mongodb.uri and store.mongodb.database at the right one"
    )]
    AnotherStore {
        /// Which database.
        database: String,
        /// What it is.
        found: String,
        /// What was wanted.
        expected: String,
    },
    /// It was written by a newer release.
    #[error(
        "the database {database} at store.mongodb.uri has format {found}, and this release reads up to format \
         {known}; start the newer release, or restore a backup made before the upgrade"
    )]
    Newer {
        /// Which database.
        database: String,
        /// Its format.
        found: i64,
        /// The newest format that this release knows.
        known: i64,
    },
    /// What a release needs is still being made. Asking again finds it made, or goes on waiting.
    #[error(
        "the indexes of {collection} in the database {database} at store.mongodb.uri are not built after {seconds} s; the \
         server goes on building them: run credit-server store migrate to wait for it again, and see \
         db.currentOp() for how far it is"
    )]
    Building {
        /// Which database.
        database: String,
        /// Which collection in it.
        collection: String,
        /// How long was waited.
        seconds: u64,
    },
    /// Something there is not as this release makes it.
    #[error("the database {database} at store.mongodb.uri is not as it should be: {why}")]
    Schema {
        /// Which database.
        database: String,
        /// What is wrong, and what to do.
        why: String,
    },
}

impl ConnectError {
    /// Whether the same call may succeed later without anybody changing anything here.
    pub const fn is_retryable(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Building { .. })
    }

    /// The driver's error while connecting.
    pub(super) fn of(error: &Error, database: &str, seconds: u64) -> Self {
        let why = sentence(error);
        match &*error.kind {
            ErrorKind::InvalidArgument { .. } | ErrorKind::InvalidTlsConfig { .. } => Self::Address { why },
            ErrorKind::Authentication { .. } => Self::Rights { database: database.to_owned(), why },
            ErrorKind::Command(command) if matches!(command.code, 13 | 18) => {
                Self::Rights { database: database.to_owned(), why }
            }
            // A server that refuses the user is reported as one that cannot be selected.
            ErrorKind::ServerSelection { message, .. } if message.contains("uthentication failed") => {
                Self::Rights { database: database.to_owned(), why }
            }
            ErrorKind::Command(_) | ErrorKind::Write(_) if !is_passing(error) => {
                Self::Schema { database: database.to_owned(), why }
            }
            _ => Self::Unreachable { seconds, why },
        }
    }
}

/// The error in one line: the server's words, without labels or causes. The driver never puts the address with its
/// password into them.
pub(super) fn sentence(error: &Error) -> String {
    match &*error.kind {
        ErrorKind::Command(command) => format!("{} ({})", command.message, command.code_name),
        ErrorKind::Write(WriteFailure::WriteError(write)) => format!("{} ({})", write.message, write.code),
        ErrorKind::Write(WriteFailure::WriteConcernError(concern)) => {
            format!("{} ({})", concern.message, concern.code_name)
        }
        ErrorKind::ServerSelection { message, .. } => no_server(message),
        kind => kind.to_string(),
    }
}

/// Of the driver's description of every server only what is wrong with each: the rest is long, and nobody's business.
fn no_server(message: &str) -> String {
    let faults = message.split("Error: Kind: ").skip(1);
    let mut faults: Vec<&str> =
        faults.map(|fault| fault.split(", labels:").next().unwrap_or(fault).trim()).collect();
    faults.sort_unstable();
    faults.dedup();
    if faults.is_empty() { "no primary is known".to_owned() } else { faults.join("; ") }
}

/// A call without an answer.
#[derive(Debug)]
pub(super) enum Failed {
    /// The driver gave up, or the server refused.
    Driver(Error),
    /// It did not end in time. It goes on, and what becomes of it nobody is told.
    Late,
}

impl Failed {
    /// The server's words.
    pub(super) fn why(&self) -> String {
        match self {
            Self::Driver(error) => sentence(error),
            Self::Late => "no answer in time".to_owned(),
        }
    }

    /// Of a read.
    pub(super) fn read(self) -> StoreError {
        match &self {
            Self::Driver(error)
                if matches!(&*error.kind, ErrorKind::BsonDeserialization(_) | ErrorKind::Bson(_)) =>
            {
                StoreError::Corrupt(self.why())
            }
            _ => StoreError::Unavailable(self.why()),
        }
    }

    /// Of a write that the driver makes again by itself: `Unavailable` only if it certainly did not happen. Where the
    /// second attempt finds no server the driver tells the fault of the first one; where the server refuses the second
    /// one as a command (rights, form), it tells that, and nobody knows what became of the first. A statement that is
    /// refused is certain: a server that has the first attempt's write answers the second one by it.
    pub(super) fn write(self) -> StoreError {
        match &self {
            Self::Driver(error) if is_certainly_not_written(error) => StoreError::Unavailable(self.why()),
            _ => StoreError::OutcomeUnknown(self.why()),
        }
    }

    /// Of a write that the driver makes once: a command that the server refuses before it begins is certain too.
    pub(super) fn write_once(self) -> StoreError {
        match &self {
            Self::Driver(error) if is_refused_command(error) => StoreError::Unavailable(self.why()),
            _ => self.write(),
        }
    }

    /// Of a call while connecting.
    pub(super) fn connect(self, options: &super::MongoOptions) -> ConnectError {
        let seconds = options.selection_timeout.as_secs();
        match self {
            Self::Driver(error) => ConnectError::of(&error, &options.database, seconds),
            Self::Late => ConnectError::Unreachable { seconds, why: "no answer in time".to_owned() },
        }
    }

    /// Whether the same call may be answered in a moment.
    pub(super) fn is_passing(&self) -> bool {
        matches!(self, Self::Driver(error) if is_passing(error))
    }
}

fn is_certainly_not_written(error: &Error) -> bool {
    matches!(
        &*error.kind,
        ErrorKind::ServerSelection { .. }
            | ErrorKind::Authentication { .. }
            | ErrorKind::InvalidArgument { .. }
            | ErrorKind::InvalidTlsConfig { .. }
            | ErrorKind::DnsResolve { .. }
            | ErrorKind::IncompatibleServer { .. }
            | ErrorKind::SessionsNotSupported
            | ErrorKind::BsonSerialization(_)
            | ErrorKind::Shutdown
            | ErrorKind::Write(WriteFailure::WriteError(_))
    )
}

/// Refused before it was begun: rights, form, size, validation.
fn is_refused_command(error: &Error) -> bool {
    const CODES: [i32; 8] = [2, 9, 13, 14, 18, 72, 121, 10_334];
    matches!(&*error.kind, ErrorKind::Command(command) if CODES.contains(&command.code))
}

/// The code of a refused statement or command.
pub(super) fn code(error: &Error) -> Option<i32> {
    match &*error.kind {
        ErrorKind::Write(WriteFailure::WriteError(write)) => Some(write.code),
        ErrorKind::Write(WriteFailure::WriteConcernError(concern)) => Some(concern.code),
        ErrorKind::Command(command) => Some(command.code),
        _ => None,
    }
}

/// Whether the statement was refused because a key is there already. (Of a write that could not be committed by a
/// majority nothing follows: that is another kind.)
pub(super) fn is_duplicate(error: &Error) -> bool {
    match &*error.kind {
        ErrorKind::Write(WriteFailure::WriteError(write)) => write.code == DUPLICATE_KEY,
        ErrorKind::Command(command) => command.code == DUPLICATE_KEY,
        _ => false,
    }
}

/// Whether the same call may be answered in a moment: elections, lost connections, overload.
pub(super) fn is_passing(error: &Error) -> bool {
    match &*error.kind {
        ErrorKind::Io(_)
        | ErrorKind::ConnectionPoolCleared { .. }
        | ErrorKind::ServerSelection { .. }
        | ErrorKind::DnsResolve { .. } => true,
        _ => {
            error.contains_label(mongodb::error::RETRYABLE_WRITE_ERROR)
                || code(error).is_some_and(is_passing_code)
        }
    }
}

/// The codes of the specification of retryable reads and writes, and of time limits.
pub(super) fn is_passing_code(code: i32) -> bool {
    const PASSING: [i32; 14] = [6, 7, 50, 64, 89, 91, 112, 134, 189, 262, 9001, 10_107, 11_600, 11_602];
    const NOT_PRIMARY: [i32; 2] = [13_435, 13_436];
    PASSING.contains(&code) || NOT_PRIMARY.contains(&code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_servers_that_cannot_be_selected_only_the_faults_are_told() {
        let message = "Server selection timeout: No available servers. Topology: { Type: ReplicaSetNoPrimary, Servers: \
                       [ { Address: a:1, Type: Unknown, Error: Kind: I/O error: refused, labels: {}, source: None }, \
                       { Address: b:1, Type: Unknown, Error: Kind: I/O error: refused, labels: {} } ] }";
        assert_eq!(no_server(message), "I/O error: refused");
        assert_eq!(no_server("Server selection timeout: none"), "no primary is known");
    }
}
