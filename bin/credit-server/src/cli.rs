//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use credit_core::{AppId, Scope};

use crate::config::{ShowFormat, duration};
use crate::secrets::KeySet;

const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  failed
  2  the command line is not understood
  3  the configuration has faults; all of them are listed
  4  the store cannot be opened: in use, not reached, damaged, of a newer version, or not fit for it; or not closed in time
  5  the ledger is not as it should be (ledger verify)";

const EXAMPLES: &str = "\
Examples:
  credit-server                                     start in profile dev, data in ./.credit
  credit-server --config /etc/credit.toml           start with a file
  CREDIT_SERVER__PORT=8081 credit-server serve      start on another port
  credit-server config show                         what is in effect, and where it comes from";

/// Keeps prepaid credits: who has how many, where they came from, when they expire and why they moved.
///
/// Without a command it serves. Configuration: Vault over files over environment (CREDIT_, `__` between levels)
/// over defaults.
#[derive(Debug, Parser)]
#[command(name = "credit-server", version, after_help = format!("{EXAMPLES}\n\n{EXIT_CODES}"))]
pub(crate) struct Cli {
    /// A configuration file (.toml, .yaml or .json); repeat it, later ones win [default: `$CREDIT_CONFIG`, else
    /// ./credit.toml if it is there]
    #[arg(long, value_name = "FILE", global = true)]
    pub(crate) config: Vec<PathBuf>,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve the API until a signal to stop (the default)
    #[command(
        after_help = "Examples:\n  credit-server serve\n  CREDIT_PROFILE=prod credit-server serve --config /etc/credit.toml\n\n\
        SIGTERM or SIGINT: not ready any more, calls in flight finish, the ledger is drained, the store is closed, exit 0.\n\
        A second signal hurries."
    )]
    Serve,
    /// Look at the configuration
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Manage operators
    #[command(subcommand)]
    Admin(AdminCommand),
    /// Manage API keys
    #[command(subcommand)]
    ApiKey(ApiKeyCommand),
    /// Check and mend the ledger
    #[command(subcommand)]
    Ledger(LedgerCommand),
    /// Look after the keys: sign, seal and find under the newest
    #[command(subcommand)]
    Keys(KeysCommand),
    /// Look after users
    #[command(subcommand)]
    User(UserCommand),
    /// Look into the store
    #[command(subcommand)]
    Store(StoreCommand),
    /// Print the contract as OpenAPI 3.1
    #[command(after_help = "Examples:\n  credit-server openapi > openapi.json")]
    Openapi,
    /// Write what the reference has from the code: docs/metrics.md, and the keys in docs/configuration.md
    #[command(
        after_help = "Examples:\n  credit-server docs docs\n  credit-server docs --check docs   (exit code 1 if they are not what the code says)"
    )]
    Docs {
        /// Where those pages are
        directory: PathBuf,
        /// Change nothing, and fail if they are not what the code says
        #[arg(long)]
        check: bool,
    },
    /// Copy the embedded store of a stopped service, consistent and durable, to a new directory
    #[command(after_help = "Examples:\n  credit-server backup /backups/credit-2026-11-22\n\n\
        A running service has its store for itself and makes its backups itself: into backup.directory, every backup.every,\n\
        and whenever an admin calls POST /v1/jobs/store_backup/run. The secrets are not in a backup: keep them beside, for\n\
        without encryption.keys and encryption.index_keys nobody finds or reads what is personal.")]
    Backup {
        /// Where to; nothing may be there
        directory: PathBuf,
    },
    /// Make a backup the store in `data_dir`, which has none; verified before it is
    #[command(
        after_help = "Examples:\n  credit-server restore /backups/credit-20261122T021700000Z-4f1c22ab\n  \
        credit-server restore --newest /backups\n  \
        CREDIT_DATA_DIR=$(mktemp -d) credit-server restore --newest --max-age 26h /backups    (a rehearsal)\n\n\
        Compares the files with what they were, replays every book, and compares hash chains, trial balance and views. What is\n\
        damaged is refused, and so is a data_dir that has a store. Needs no secrets. The report is JSON on the standard output."
    )]
    Restore(RestoreBackup),
    /// Ask a running service whether it lives: exit code 0 if it does (for containers)
    #[command(
        after_help = "Examples:\n  credit-server healthcheck\n  credit-server healthcheck --ready --url http://127.0.0.1:8081"
    )]
    Healthcheck {
        /// Where it serves [default: the configured host and port]
        #[arg(long)]
        url: Option<String>,
        /// Over TLS: believe this authority, a PEM file [default: those of the system; of the configured service on
        /// this machine any certificate]
        #[arg(long, value_name = "FILE")]
        ca: Option<PathBuf>,
        /// Ask whether it is ready, not only alive
        #[arg(long)]
        ready: bool,
    },
    /// Print completions for a shell
    #[command(
        after_help = "Examples:\n  credit-server completions bash > /etc/bash_completion.d/credit-server\n  credit-server completions zsh > \"${fpath[1]}/_credit-server\""
    )]
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
}

#[derive(Debug, Args)]
pub(crate) struct RestoreBackup {
    /// The backup
    pub(crate) directory: PathBuf,
    /// The directory is one of backups: take the newest
    #[arg(long)]
    pub(crate) newest: bool,
    /// Refuse a backup that began longer ago than that: 90m, 26h, 7d
    #[arg(long, value_name = "AGE", value_parser = parse_age)]
    pub(crate) max_age: Option<Duration>,
}

fn parse_age(text: &str) -> Result<Duration, String> {
    let seconds = duration::read(text).ok_or("an age is written 30s, 90m, 26h or 7d")?;
    Ok(Duration::from_secs(seconds))
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Print each value with its origin, secrets masked
    #[command(
        after_help = "Examples:\n  credit-server config show\n  credit-server config show --format json --config a.toml --config b.toml"
    )]
    Show {
        /// In which language
        #[arg(long, value_enum, default_value = "toml")]
        format: ShowFormat,
    },
    /// List every fault at once, with its origin and what is allowed
    #[command(
        after_help = "Examples:\n  credit-server config check\n  CREDIT_PROFILE=prod credit-server config check --config /etc/credit.toml"
    )]
    Check,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AdminCommand {
    /// Make a user with role admin in the default application; the service must be stopped
    #[command(
        after_help = "Examples:\n  credit-server admin create --username root --email root@shop.example   (makes a password and prints it)\n  \
        credit-server admin create --username root --email root@shop.example --password-file /run/secrets/root"
    )]
    Create(AdminCreate),
}

#[derive(Debug, Args)]
pub(crate) struct AdminCreate {
    /// The username
    #[arg(long)]
    pub(crate) username: String,
    /// The e-mail address
    #[arg(long)]
    pub(crate) email: String,
    /// A file that holds the password, - for the standard input [default: one is made and printed]
    #[arg(long, value_name = "FILE")]
    pub(crate) password_file: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ApiKeyCommand {
    /// Make an API key and print its secret, once; the service must be stopped
    #[command(after_help = "Examples:\n  credit-server api-key create --name backend\n  \
        credit-server api-key create --name reporting --app app_0193… --scope wallets:read --scope transactions:read")]
    Create(ApiKeyCreate),
}

#[derive(Debug, Args)]
pub(crate) struct ApiKeyCreate {
    /// What it is for
    #[arg(long)]
    pub(crate) name: String,
    /// Whose it is [default: the default application]
    #[arg(long, value_parser = parse_app)]
    pub(crate) app: Option<AppId>,
    /// What it may do; repeat it [default: everything]
    #[arg(long = "scope", value_name = "SCOPE", value_parser = parse_scope)]
    pub(crate) scopes: Vec<Scope>,
}

fn parse_app(text: &str) -> Result<AppId, String> {
    AppId::parse(text).map_err(|_| "an application is app_ and 32 hexadecimal digits".to_owned())
}

fn parse_scope(text: &str) -> Result<Scope, String> {
    let all = || Scope::ALL.iter().map(|(_, name)| *name).collect::<Vec<_>>().join(", ");
    Scope::parse(text).ok_or_else(|| format!("the scopes are {}", all()))
}

#[derive(Debug, Clone, Copy, Subcommand)]
pub(crate) enum LedgerCommand {
    /// Replay every book, check its hash chains and compare every view with it; the service must be stopped
    #[command(
        after_help = "Examples:\n  credit-server ledger verify\n  credit-server ledger verify || echo \"call someone\"\n\n\
        The report is JSON on the standard output. A running service does the same: POST /v1/ledger/verify."
    )]
    Verify,
    /// Drop the views of the ledger and make them again from the journal; the service must be stopped
    #[command(after_help = "Examples:\n  credit-server ledger rebuild && credit-server ledger verify")]
    Rebuild,
}

#[derive(Debug, Subcommand)]
pub(crate) enum StoreCommand {
    /// Say whether the store can be worked on, and if not, why and how to mend it; changes nothing
    #[command(after_help = "Examples:\n  credit-server store check && credit-server serve\n\n\
        Exit code 0 if it can, else 4 and a sentence that names the setting. MongoDB: reachable, a replica set or a sharded\n\
        cluster, new enough, majority writes with journal, rights, format, indexes. Embedded: nobody has it, it is whole.")]
    Check,
    /// Make and bring up to date what the store needs: indexes, validators, stored formats
    #[command(after_help = "Examples:\n  credit-server store migrate\n\n\
        Does what a start does, and nothing else: run it before a rollout. It may be run again, and by several at once.")]
    Migrate,
    /// Print as JSON what is kept: books and how far their views are, documents and bytes of each collection
    #[command(
        after_help = "Examples:\n  credit-server store status\n  credit-server store status | jq .books\n\n\
        An embedded store must be stopped; one on MongoDB may be in use."
    )]
    Status,
    /// Copy everything to another store, verified at the end; the service must be stopped, or see --live
    #[command(after_help = "Examples:\n  credit-server store copy --from embedded --to mongodb\n  \
        credit-server store copy --from mongodb --to embedded --live     (an export beside the running service)\n\n\
        Where the stores are is configured: data_dir, and store.mongodb.uri and .database. The target must be empty. A copy\n\
        that was interrupted goes on when the command is run again. Views are made again from the journal. At the end every\n\
        book is replayed on both sides, and hash chains, trial balance and numbers of documents are compared; until that is\n\
        done nobody can work on the target.")]
    Copy(StoreCopy),
    /// Print a table of the embedded store as JSON, a row a line; the service must be stopped
    #[command(
        after_help = "Examples:\n  credit-server store dump              list the tables\n  credit-server store dump documents/d.users | head -1   print one"
    )]
    Dump {
        /// Which table [default: list them]
        table: Option<String>,
    },
}

#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct StoreCopy {
    /// What is moved; it stays as it is
    #[arg(long, value_enum)]
    pub(crate) from: Backend,
    /// Where to; it must be empty
    #[arg(long, value_enum)]
    pub(crate) to: Backend,
    /// The services on the source work on, and it is copied as it is when this begins; from a MongoDB only
    #[arg(long)]
    pub(crate) live: bool,
}

/// A kind of store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Backend {
    /// The one in `data_dir`
    Embedded,
    /// The one of store.mongodb
    Mongodb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum KeysCommand {
    /// Say which keys there are, by their ids, and how much is under which; an embedded store must not be in use
    #[command(after_help = "Examples:\n  credit-server keys status\n\n\
        \"stale\" is what is not under the newest keys: 0 when it is time to take an old key away. API keys are hashed\n\
        again at their next use, and refresh tokens are replaced at theirs.")]
    Status,
    /// Put a new key in front of a set; those before it go on opening what they closed
    #[command(after_help = "Examples:\n  credit-server keys rotate                          every set\n  \
        credit-server keys rotate --set token --set index\n\n\
        Keys that profile dev made are rotated where they are, and a running service takes them up within secrets.refresh.\n\
        Keys that come from elsewhere are printed, the new one first, to be put where they come from: the program writes\n\
        into no vault and no file of yours. With several processes, give all of them the new key as the last one first,\n\
        then as the first.")]
    Rotate(KeysSets),
    /// Take every key of a set away but the newest; what is still under those cannot be opened or found any more
    #[command(after_help = "Examples:\n  credit-server keys retire --set encryption\n\n\
        It is refused while users or API keys are still under another key, which it sees in the store; an embedded one \
        must not be in use. Sign with a new token key\n\
        for auth.access_ttl before the old one goes, or users log in again; the same with index keys and\n\
        auth.refresh_ttl.")]
    Retire(RetiredSets),
    /// Bring everything that is sealed or found by a key under the newest ones; a running service does it by itself
    #[command(after_help = "Examples:\n  credit-server keys reencrypt\n\n\
        It can be broken off at any moment and goes on where it was.")]
    Reencrypt,
}

#[derive(Debug, Args)]
pub(crate) struct RetiredSets {
    #[command(flatten)]
    pub(crate) sets: KeysSets,
    /// Whatever is still under those keys, and without looking: it is lost
    #[arg(long)]
    pub(crate) force: bool,
}

#[derive(Debug, Args)]
pub(crate) struct KeysSets {
    /// Which set; repeat it [default: all]
    #[arg(long = "set", value_enum, value_name = "SET")]
    pub(crate) sets: Vec<KeySet>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum UserCommand {
    /// Make users from a file, with the password hashes that they had elsewhere; an embedded store must not be in use
    #[command(after_help = "Examples:\n  credit-server user import --from users.csv\n  \
        credit-server user import --from users.ndjson --app app_0193… --errors refused.ndjson\n\n\
        CSV has a line of names, NDJSON an object a line: username, email, password_hash (bcrypt or argon2; may be left\n\
        out) and, in NDJSON, profile. They log in with the passwords they had, and are hashed anew at that moment. A user\n\
        who is there already is left alone, so that an import that broke off is simply repeated. It fails if a row was\n\
        refused.")]
    Import(UserImport),
}

#[derive(Debug, Args)]
pub(crate) struct UserImport {
    /// The file: .csv, .ndjson or .jsonl
    #[arg(long, value_name = "FILE")]
    pub(crate) from: PathBuf,
    /// Whose they are [default: the default application]
    #[arg(long, value_parser = parse_app)]
    pub(crate) app: Option<AppId>,
    /// Where refused rows are told, an object a line; written only if there is one [default: FILE.errors.ndjson]
    #[arg(long, value_name = "FILE")]
    pub(crate) errors: Option<PathBuf>,
}
