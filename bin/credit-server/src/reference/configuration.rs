//! The keys in `docs/configuration.md`, from the table of the configuration. The rest of the page is written by hand.

use std::fmt::Write;

use anyhow::{Context, Result};

use super::item;
use crate::config::keys::{KEYS, Key};
use crate::config::variable;

const BEGIN: &str = "<!-- Made by `make docs` from bin/credit-server/src/config/keys.rs, down to the end mark. Change that, not this. -->\n";
const END: &str = "<!-- The end of what is made. -->\n";

/// What is said of a part of the configuration before its keys.
const NOTES: [(&str, &str); 1] = [(
    "rate_limit",
    "A limit is written `600/1m`: so many calls at once, filled up evenly within the time; or `off`. What each means:\n\
     [api-users/limits.md](api-users/limits.md).\n\n",
)];

/// The page with its keys as they are now.
pub(crate) fn page(kept: &str) -> Result<String> {
    let (before, rest) = kept.split_once(BEGIN).context("the mark where the keys begin is missing")?;
    let (_, after) = rest.split_once(END).context("the mark where the keys end is missing")?;
    Ok(format!("{before}{BEGIN}{}\n{END}{after}", keys()))
}

fn keys() -> String {
    let (mut text, mut part) = (String::new(), "");
    for key in KEYS {
        let own = key.path.split_once('.').map_or("general", |(part, _)| part);
        if own != part {
            part = own;
            let _ = write!(text, "\n### {part}\n\n");
            text.extend(NOTES.iter().filter(|(noted, _)| *noted == part).map(|(_, note)| *note));
        }
        text.push_str(&item(&told(key)));
    }
    text
}

fn told(key: &Key) -> String {
    let secret = if key.kind.is_secret() { ", secret" } else { "" };
    let default = match key.default {
        None => "not set".to_owned(),
        Some("") => "empty".to_owned(),
        Some(default) => format!("`{default}`"),
    };
    let (path, meaning, takes) = (key.path, key.meaning, key.kind.told());
    format!("**`{path}`**{secret}: {meaning} Default: {default}. Takes {takes}. `{}`", variable(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_says_what_it_is_for() {
        for key in KEYS {
            assert!(key.meaning.len() > 8 && key.meaning.ends_with('.'), "{}: {}", key.path, key.meaning);
        }
    }

    #[test]
    fn what_stands_around_the_keys_stays() {
        let page = page(&format!("before\n{BEGIN}made before{END}after\n")).expect("a page");
        assert!(page.starts_with("before\n") && page.ends_with(&format!("{END}after\n")));
        assert!(page.contains("### rate_limit\n\nA limit is written"), "{page}");
        assert!(
            page.contains("**`server.port`**: its port; 0 takes any free one. Default: `8080`. Takes 0 to")
        );
        assert!(!page.contains("made before"));
        assert!(super::page("no marks").is_err());
    }
}
