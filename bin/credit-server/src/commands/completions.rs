//! `completions`

use clap::CommandFactory;

use crate::cli::Cli;

/// The script that completes our commands in a shell.
pub(crate) fn script(shell: clap_complete::Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "credit-server", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}
