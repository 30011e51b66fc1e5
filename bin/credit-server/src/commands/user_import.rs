//! `user import`

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result, anyhow, bail};
use credit_api::form::Metadata;
use credit_users::{Import, ImportedUser};
use futures_util::future::join_all;
use serde::Deserialize;
use serde_json::json;

use super::in_house;
use crate::cli::UserImport;
use crate::config::Settings;
use crate::exit::Failure;
use crate::{print, progress};

/// Rows that are worked on at once: the store writes them together.
const AT_ONCE: usize = 64;

/// One row of the file. Unknown members are a fault: one of them may be a slip of the pen.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    username: String,
    email: String,
    #[serde(default)]
    password_hash: Option<String>,
    #[serde(default)]
    profile: Option<Metadata>,
}

/// A row that was read, or why it could not be. Rows count from 1, without the line of names.
type Read1 = (u64, Result<Row, String>);

#[derive(Default)]
struct Tally {
    rows: u64,
    made: u64,
    there: u64,
    refused: u64,
}

/// Makes the users of the file. It fails if a row was refused; all others are made all the same.
pub(crate) fn run(settings: &Settings, wanted: &UserImport) -> Result<(), Failure> {
    let file =
        File::open(&wanted.from).with_context(|| format!("{} cannot be read", wanted.from.display()))?;
    let length = file.metadata().map(|metadata| metadata.len()).unwrap_or_default();
    let read_bytes = Arc::new(AtomicU64::new(0));
    let rows = rows(&wanted.from, Counting { inside: file, bytes: read_bytes.clone() })?;
    let mut refusals = Refusals::new(wanted);
    let bar = progress::bar("importing");
    bar.set_length(length);
    let tally = in_house(settings, async |service| {
        let app = match wanted.app {
            Some(app) => app,
            None => service.apps.default_app().await.context("the default application")?,
        };
        if !service.apps.exists(app).await.context("the application")? {
            bail!("there is no application {app}");
        }
        let mut tally = Tally::default();
        let mut rows = rows;
        loop {
            let chunk: Vec<Read1> = rows.by_ref().take(AT_ONCE).collect();
            if chunk.is_empty() {
                return Ok(tally);
            }
            let imports = chunk.into_iter().map(async |(number, row)| match row {
                Err(fault) => Ok((number, None, vec![fault])),
                Ok(row) => {
                    let username = row.username.clone();
                    let outcome = service.users.import(app, row.into()).await.map_err(|problem| {
                        anyhow!("row {number}: {}; import again when that is mended", problem.detail())
                    })?;
                    Ok::<_, anyhow::Error>(match outcome {
                        Import::Made(_) => (number, Some(true), Vec::new()),
                        Import::There(_) => (number, Some(false), Vec::new()),
                        Import::Refused(faults) => {
                            tracing::debug!(number, username, "a row was refused");
                            (number, None, faults.iter().map(|fault| (*fault).to_owned()).collect())
                        }
                    })
                }
            });
            for outcome in join_all(imports).await {
                let (number, is_new, faults) = outcome?;
                tally.rows += 1;
                match is_new {
                    Some(true) => tally.made += 1,
                    Some(false) => tally.there += 1,
                    None => {
                        tally.refused += 1;
                        refusals.tell(number, &faults)?;
                    }
                }
            }
            bar.set_position(read_bytes.load(Ordering::Relaxed));
        }
    })?;
    bar.finish_and_clear();
    let refused_in = refusals.finish()?;
    let Tally { rows, made, there, refused } = tally;
    let told = json!({"rows": rows, "made": made, "there": there, "refused": refused, "errors": refused_in});
    print::text(&format!("{told:#}\n"));
    match refused_in {
        None => Ok(()),
        Some(path) => Err(anyhow!("{refused} of {rows} rows were refused; {path} tells why").into()),
    }
}

impl From<Row> for ImportedUser {
    fn from(row: Row) -> Self {
        Self {
            username: row.username,
            email: row.email,
            password_hash: row.password_hash.filter(|hash| !hash.is_empty()),
            profile: row.profile.unwrap_or_default(),
        }
    }
}

/// The rows of a file, by the end of its name.
fn rows(path: &Path, file: Counting) -> Result<Box<dyn Iterator<Item = Read1>>> {
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    match extension {
        "csv" => {
            let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(file);
            let names = reader.headers().with_context(|| format!("{} cannot be read", path.display()))?;
            for name in names {
                if !["username", "email", "password_hash"].contains(&name) {
                    bail!("{}: {name} is no column; they are username, email, password_hash", path.display());
                }
            }
            let rows =
                reader.into_deserialize().map(|row| row.map_err(|_| "is no row of this file".to_owned()));
            Ok(Box::new((1..).zip(rows)))
        }
        "ndjson" | "jsonl" => {
            let lines = BufReader::new(file)
                .lines()
                .filter(|line| !line.as_ref().is_ok_and(|line| line.trim().is_empty()));
            let rows = lines.map(|line| {
                let line = line.map_err(|_| "cannot be read".to_owned())?;
                // What the parser says may quote the line.
                serde_json::from_str(&line)
                    .map_err(|error| format!("is not such an object (column {})", error.column()))
            });
            Ok(Box::new((1..).zip(rows)))
        }
        _ => bail!("{} must end in .csv, .ndjson or .jsonl", path.display()),
    }
}

/// A file that counts how far it was read.
struct Counting {
    inside: File,
    bytes: Arc<AtomicU64>,
}

impl Read for Counting {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.inside.read(buffer)?;
        self.bytes.fetch_add(u64::try_from(read).unwrap_or_default(), Ordering::Relaxed);
        Ok(read)
    }
}

/// The file that tells of refused rows, made with the first of them.
struct Refusals {
    path: PathBuf,
    file: Option<BufWriter<File>>,
}

impl Refusals {
    fn new(wanted: &UserImport) -> Self {
        let beside = || PathBuf::from(format!("{}.errors.ndjson", wanted.from.display()));
        Self { path: wanted.errors.clone().unwrap_or_else(beside), file: None }
    }

    fn tell(&mut self, row: u64, errors: &[String]) -> Result<()> {
        let path = self.path.display().to_string();
        let told = || format!("{path} cannot be written");
        if self.file.is_none() {
            self.file = Some(BufWriter::new(File::create(&self.path).with_context(told)?));
        }
        let Some(file) = &mut self.file else { return Ok(()) };
        writeln!(file, "{}", json!({"row": row, "errors": errors})).with_context(told)
    }

    /// Where they are told, if there are any.
    fn finish(self) -> Result<Option<String>> {
        let Some(mut file) = self.file else { return Ok(None) };
        file.flush().with_context(|| format!("{} cannot be written", self.path.display()))?;
        Ok(Some(self.path.display().to_string()))
    }
}
