//! [`Page`]: the commands that a page of the book shows, and what it shows of what they print.

use std::path::PathBuf;

/// A page, by its name.
pub(crate) struct Page {
    pub(crate) name: String,
    pub(crate) commands: Vec<Shown>,
}

/// A command as a page shows it.
pub(crate) struct Shown {
    /// From 1.
    pub(crate) line: usize,
    /// With the lines that it goes on in.
    pub(crate) command: String,
    /// What stands behind it; nothing in blocks of commands alone.
    pub(crate) output: Vec<String>,
}

/// The directory of this repository.
pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The names of all pages: the README, and those of the summary in their order.
pub(crate) fn names() -> Vec<String> {
    let summary = std::fs::read_to_string(root().join("docs/SUMMARY.md")).expect("a summary");
    let pages = summary.split("](").skip(1);
    let pages = pages.filter_map(|rest| Some(rest.split_once(')')?.0.to_owned()));
    std::iter::once("README.md".to_owned())
        .chain(pages)
        .collect()
}

/// A page's text.
pub(crate) fn text(name: &str) -> String {
    let path = match name {
        "README.md" => root().join(name),
        name => root().join("docs").join(name),
    };
    std::fs::read_to_string(path).expect("a page")
}

impl Page {
    pub(crate) fn read(name: &str) -> Self {
        let text = text(name);
        let (mut commands, mut block) = (Vec::<Shown>::new(), None);
        let mut before = 0;
        let mut lines = text.lines().enumerate();
        while let Some((at, line)) = lines.next() {
            if let Some(kind) = line.strip_prefix("```") {
                block = block.is_none().then_some(kind);
                before = commands.len();
                continue;
            }
            let begins = match block {
                Some("sh") => Some(line).filter(|line| !line.trim().is_empty()),
                Some("text") => line.strip_prefix("$ "),
                _ => continue,
            };
            // What the command without a verb writes above each step.
            if line.starts_with("== ") {
                continue;
            }
            match begins {
                Some(begins) => {
                    let mut command = begins.to_owned();
                    while command.ends_with(['\\', '|']) {
                        let (_, next) = lines.next().expect("what a command goes on in");
                        command = format!("{command}\n{next}");
                    }
                    commands.push(Shown {
                        line: at + 1,
                        command,
                        output: Vec::new(),
                    });
                }
                // What a block shows before any command is no command's.
                None => {
                    if let Some(last) = commands[before..].last_mut() {
                        last.output.push(line.to_owned());
                    }
                }
            }
        }
        Self {
            name: name.to_owned(),
            commands,
        }
    }

    /// Whether a command of the page writes this file or directory.
    fn writes(&self, name: &str) -> bool {
        let made = ["--out ", "> "].map(|by| format!("{by}{name}"));
        let ends =
            |rest: &str| !rest.starts_with(|c: char| c.is_alphanumeric() || "-._".contains(c));
        self.commands.iter().any(|shown| {
            made.iter().any(|made| {
                let mut found = shown.command.match_indices(made.as_str());
                found.any(|(at, _)| ends(&shown.command[at + made.len()..]))
            })
        })
    }

    /// Whether a reader has this before the page begins: it is named, and no command writes it.
    pub(crate) fn is_given(&self, name: &str) -> bool {
        let named = |shown: &Shown| shown.command.contains(name);
        self.commands.iter().any(named) && !self.writes(name)
    }
}
