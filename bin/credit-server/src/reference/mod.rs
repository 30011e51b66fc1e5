//! The parts of the documentation that are made of the code.

pub(crate) mod configuration;
pub(crate) mod metrics;

/// The longest line.
const WIDTH: usize = 118;

/// An item of a list, in lines that are not too long.
fn item(text: &str) -> String {
    let mut lines = vec!["-".to_owned()];
    for word in text.split_whitespace() {
        let last = lines.len() - 1;
        if lines[last].chars().count() + 1 + word.chars().count() > WIDTH {
            lines.push(format!("  {word}"));
        } else {
            lines[last].push(' ');
            lines[last].push_str(word);
        }
    }
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_is_broken_between_words() {
        let text = format!("{} `end`", "word ".repeat(30));
        let item = item(&text);
        let lines: Vec<&str> = item.lines().collect();
        assert_eq!(lines.len(), 2);
        assert!(lines[0].starts_with("- word") && lines[1].starts_with("  word"), "{item}");
        assert!(lines.iter().all(|line| line.chars().count() <= WIDTH) && item.ends_with("`end`\n"));
    }

    #[test]
    fn the_pages_are_what_the_code_says() {
        let docs = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
        let read = |name: &str| std::fs::read_to_string(docs.join(name)).expect("the page");
        assert_eq!(read("metrics.md"), metrics::page(), "run `make docs`");
        let kept = read("configuration.md");
        assert_eq!(kept, configuration::page(&kept).expect("a page"), "run `make docs`");
    }
}
