//! [`Input`]: what is said to the model.

use std::io::{BufReader, IsTerminal, Stdin, stdin};

use peft_files::Lines;
use rustyline::DefaultEditor;
use rustyline::error::ReadlineError;

use crate::error::CliError;

/// The longest line that is read where there is no terminal, in bytes.
const LONGEST: usize = 4 << 20;

/// Where turns come from: a terminal, with a line editor, or lines of a pipe or a file.
pub(super) enum Input {
    Terminal(Box<DefaultEditor>),
    Lines(Lines<BufReader<Stdin>>),
}

/// A turn or a command, or nothing more.
pub(super) enum Line {
    Text(String),
    End,
}

impl Input {
    pub(super) fn new() -> Result<Self, CliError> {
        if !stdin().is_terminal() {
            return Ok(Self::Lines(Lines::new(BufReader::new(stdin()), LONGEST)));
        }
        let editor = DefaultEditor::new();
        editor
            .map(|editor| Self::Terminal(Box::new(editor)))
            .map_err(failed)
    }

    pub(super) fn is_terminal(&self) -> bool {
        matches!(self, Self::Terminal(_))
    }

    pub(super) fn next(&mut self) -> Result<Line, CliError> {
        match self {
            Self::Terminal(editor) => match editor.readline("> ") {
                Ok(line) => {
                    let _ = editor.add_history_entry(&line);
                    Ok(Line::Text(line))
                }
                Err(ReadlineError::Eof | ReadlineError::Interrupted) => Ok(Line::End),
                Err(error) => Err(failed(error)),
            },
            Self::Lines(lines) => match lines.next() {
                None => Ok(Line::End),
                Some(Ok(Some(line))) => String::from_utf8(line)
                    .map(Line::Text)
                    .map_err(|_| CliError::Usage("a line of the input is not UTF-8".into())),
                Some(Ok(None)) => Err(CliError::Usage(format!(
                    "a line of the input is longer than {LONGEST} bytes"
                ))),
                Some(Err(source)) => Err(CliError::Io {
                    action: "read",
                    path: "standard input".into(),
                    source,
                }),
            },
        }
    }
}

fn failed(error: ReadlineError) -> CliError {
    CliError::Usage(format!("the terminal: {error}"))
}
