//! Every command that the pages show is one that the command takes.

use std::fs;
use std::path::{Path, PathBuf};

use super::Cli;

/// The pages of `docs/`, and the README.
fn pages() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut pages = vec![root.join("README.md")];
    for entry in fs::read_dir(root.join("docs")).expect("the pages are there") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|ext| ext == "md") {
            pages.push(path);
        }
    }
    pages
}

/// The commands of a page's blocks of code, with the lines that they go on in: lines of a shell's
/// that begin with `peft`, lines behind a prompt, and what these are piped into.
fn commands(text: &str) -> Vec<String> {
    let (mut found, mut inside, mut of_shell) = (Vec::new(), false, false);
    let mut is_piped = false;
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some(kind) = line.trim_start().strip_prefix("```") {
            (inside, of_shell) = (!inside, kind == "sh");
            continue;
        }
        let line = line.trim_start();
        let shown = line.strip_prefix("$ ");
        let line = shown.unwrap_or(line);
        let is_command = shown.is_some() || of_shell || is_piped;
        is_piped = is_command && line.ends_with('|');
        if !inside || !is_command || !line.starts_with("peft ") {
            continue;
        }
        let mut command = line.to_owned();
        while let Some(begun) = command.strip_suffix('\\') {
            command = format!("{begun} {}", lines.next().unwrap_or_default().trim());
        }
        found.push(command);
    }
    found
}

/// Words as a shell parts them, up to what is no word of the command's: a pipe, a comment.
fn words(command: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for c in command.chars() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, '|' | '>' | ';' | '&') => break,
            (None, '#') if word.is_none() => break,
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

/// The book's summary names every page, and no other; every page that a page links to is there.
#[test]
fn every_page_is_in_the_book() {
    let summary = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/SUMMARY.md");
    let summary = fs::read_to_string(summary).expect("it is there");
    for page in pages() {
        let name = page.file_name().expect("a file").to_string_lossy();
        let listed = summary.matches(&format!("({name})")).count();
        let expected = usize::from(!["README.md", "SUMMARY.md"].contains(&&*name));
        assert_eq!(listed, expected, "{name}");
        let text = fs::read_to_string(&page).expect("a page");
        for link in text.split("](").skip(1) {
            let target = link.split([')', '#']).next().unwrap_or_default();
            let is_file = target.ends_with(".md") && !target.contains("://");
            let there = page.parent().is_some_and(|dir| dir.join(target).exists());
            assert!(!is_file || there, "{name}: {target}");
        }
    }
}

#[test]
fn words_are_a_shells() {
    let found = words("peft generate --prompt 'a b' --raw \"\" | cat # c");
    assert_eq!(found, ["peft", "generate", "--prompt", "a b", "--raw", ""]);
}

#[test]
fn every_command_of_the_pages_is_taken() {
    let mut seen = 0;
    for page in pages() {
        let text = fs::read_to_string(&page).expect("a page");
        for command in commands(&text) {
            let words = words(&command);
            // What stands for more than is shown.
            if words
                .iter()
                .any(|word| word.ends_with("...") || word == "…")
            {
                continue;
            }
            seen += 1;
            if let Err(error) = Cli::read(&words) {
                let shown = matches!(
                    error.kind(),
                    clap::error::ErrorKind::DisplayHelp | clap::error::ErrorKind::DisplayVersion
                );
                assert!(shown, "{}: {command}\n{error}", page.display());
            }
        }
    }
    assert!(seen > 30, "{seen} commands");
}
