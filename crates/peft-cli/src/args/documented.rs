//! Every command that the pages show is one that the command takes.

use std::fs;
use std::path::{Path, PathBuf};

use clap::error::ErrorKind;

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

/// What running text and tables have between backticks. Of a table of what is called otherwise in
/// another program, ours: the last cell.
fn spans(name: &str, text: &str) -> Vec<String> {
    let mut is_code = false;
    let lines = text.lines().filter(|line| {
        let is_fence = line.trim_start().starts_with("```");
        is_code ^= is_fence;
        !is_code && !is_fence
    });
    let compares = name == "coming-from.md";
    let ours = lines.map(
        |line| match line.trim_end_matches([' ', '|']).rsplit_once(" | ") {
            Some((_, cell)) if compares => cell,
            _ => line,
        },
    );
    let text = ours.collect::<Vec<_>>().join(" ");
    text.split('`')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

/// Flags of other programs, where the text says whose.
const OF_OTHERS: [&str; 7] = [
    "pytorch",
    "shape",
    "batches",
    "bases",
    "features",
    "lora-modules",
    "lora",
];

/// Flags and commands in running text are such as the command has.
#[test]
fn flags_of_the_text_are_there() {
    let line = Cli::line();
    let of = |verb: &clap::Command| {
        let names = verb.get_arguments().flat_map(|arg| {
            let others = arg.get_all_aliases().unwrap_or_default();
            others.into_iter().chain(arg.get_long()).map(str::to_owned)
        });
        names.collect::<Vec<_>>()
    };
    let verbs = line.get_subcommands();
    let verbs = verbs.flat_map(|verb| verb.get_subcommands().chain([verb]));
    let (names, known): (Vec<_>, Vec<_>) = verbs.map(|verb| (verb.get_name(), of(verb))).unzip();
    let known = known.concat();
    let (mut seen, mut unused) = (0, OF_OTHERS.to_vec());
    for page in pages() {
        let text = fs::read_to_string(&page).expect("a page");
        let name = page.file_name().expect("a file").to_string_lossy();
        for span in spans(&name, &text) {
            let mut words = span.split_whitespace().peekable();
            let first = words.peek().copied().unwrap_or_default();
            let is_ours = first == "peft" || first.starts_with("--") || names.contains(&first);
            if !is_ours {
                continue;
            }
            let flags = words.filter_map(|word| word.strip_prefix("--"));
            let flags = flags.map(|flag| flag.split('=').next().unwrap_or_default());
            for flag in flags.filter(|flag| !flag.is_empty()) {
                seen += 1;
                unused.retain(|other| *other != flag);
                let is_there = known.iter().any(|name| name == flag) || OF_OTHERS.contains(&flag);
                assert!(is_there, "{name}: no verb has --{flag}: `{span}`");
            }
        }
    }
    assert!(seen > 200, "{seen} flags");
    assert!(unused.is_empty(), "no page has {unused:?}");
}

/// A command in running text may lack what it needs, and have what stands for a value.
#[test]
fn commands_of_the_text_are_taken() {
    let mut seen = 0;
    for page in pages() {
        let text = fs::read_to_string(&page).expect("a page");
        let name = page.file_name().expect("a file").to_string_lossy();
        for span in spans(&name, &text) {
            if !span.starts_with("peft ") || span.contains('…') {
                continue;
            }
            seen += 1;
            let words = words(&span);
            let stands = |word: &String| !word.chars().any(char::is_lowercase);
            let Err(error) = Cli::read(&words) else {
                continue;
            };
            let is_taken = match error.kind() {
                ErrorKind::MissingRequiredArgument
                | ErrorKind::MissingSubcommand
                | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => true,
                ErrorKind::InvalidValue | ErrorKind::ValueValidation => words.iter().any(stands),
                _ => false,
            };
            assert!(is_taken, "{name}: `{span}`: {error}");
        }
    }
    assert!(seen > 40, "{seen} commands");
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
                let helps = [ErrorKind::DisplayHelp, ErrorKind::DisplayVersion];
                let shown = helps.contains(&error.kind());
                assert!(shown, "{}: {command}\n{error}", page.display());
            }
        }
    }
    assert!(seen > 30, "{seen} commands");
}
