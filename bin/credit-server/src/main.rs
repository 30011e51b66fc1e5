#![doc = include_str!("../README.md")]

mod address;
mod cli;
mod commands;
mod config;
mod dev_credentials;
mod exit;
mod first_start;
mod key_watch;
mod log;
mod metrics;
mod print;
mod private_file;
mod profiles;
mod progress;
mod reference;
mod secrets;
mod serve;
mod street;
mod tls;
mod waiting_room;
mod web;
mod wiring;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use crate::cli::{
    AdminCommand, ApiKeyCommand, Cli, Command, ConfigCommand, KeysCommand, LedgerCommand, StoreCommand,
    UserCommand,
};
use crate::config::{Sources, before_vault, load};
use crate::exit::Failure;

/// A spend is many small allocations that one thread makes and another frees; the system's allocator pays for that.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    tls::install_provider();
    match run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

fn run(cli: Cli) -> Result<(), Failure> {
    let sources = sources(cli.config);
    match cli.command.unwrap_or(Command::Serve) {
        Command::Config(ConfigCommand::Show { format }) => commands::config::show(&sources, format),
        Command::Config(ConfigCommand::Check) => commands::config::check(&sources),
        Command::Healthcheck { url, ca, ready } => {
            commands::healthcheck::run(&before_vault(&sources)?, url, ca.as_deref(), ready)
        }
        Command::Completions { shell } => {
            print::text(&commands::completions::script(shell));
            Ok(())
        }
        Command::Serve => serve::run(sources),
        Command::Admin(AdminCommand::Create(wanted)) => commands::admin::create(&load(&sources)?, &wanted),
        Command::ApiKey(ApiKeyCommand::Create(wanted)) => {
            commands::api_key::create(&load(&sources)?, &wanted)
        }
        Command::Ledger(LedgerCommand::Verify) => commands::ledger::verify(&load(&sources)?),
        Command::Ledger(LedgerCommand::Rebuild) => commands::ledger::rebuild(&load(&sources)?),
        Command::Store(StoreCommand::Dump { table }) => {
            commands::store::dump::run(&load(&sources)?, table.as_deref())
        }
        Command::Store(StoreCommand::Check) => commands::store::check::check(&load(&sources)?),
        Command::Store(StoreCommand::Migrate) => commands::store::check::migrate(&load(&sources)?),
        Command::Store(StoreCommand::Status) => commands::store::status::run(&load(&sources)?),
        Command::Store(StoreCommand::Copy(wanted)) => commands::store::copy::run(&load(&sources)?, wanted),
        Command::Keys(KeysCommand::Status) => commands::keys::status(&load(&sources)?),
        Command::Keys(KeysCommand::Rotate(wanted)) => commands::keys::rotate(&load(&sources)?, &wanted),
        Command::Keys(KeysCommand::Retire(wanted)) => commands::keys::retire(&load(&sources)?, &wanted),
        Command::Keys(KeysCommand::Reencrypt) => commands::keys::reencrypt(&load(&sources)?),
        Command::User(UserCommand::Import(wanted)) => commands::user_import::run(&load(&sources)?, &wanted),
        Command::Openapi => commands::openapi::print(),
        Command::Docs { directory, check } => commands::docs::run(&directory, check),
        Command::Backup { directory } => commands::backup::run(&load(&sources)?, &directory),
        Command::Restore(wanted) => commands::restore::run(&load(&sources)?, &wanted),
    }
}

/// The files of the command line, and the variables of this process that are texts.
fn sources(files: Vec<PathBuf>) -> Sources {
    let environment = std::env::vars_os()
        .filter_map(|(name, text)| Some((name.into_string().ok()?, text.into_string().ok()?)))
        .collect();
    Sources { files, environment, default_file: Some("credit.toml".into()) }
}
