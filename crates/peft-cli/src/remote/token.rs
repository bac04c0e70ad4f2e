//! The token that a worker asks for.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::error::CliError;

/// Where it is looked for where no file is named.
pub(crate) const VARIABLE: &str = "PEFT_WORKER_TOKEN";

/// Bytes that a token may have.
const MOST: u64 = 4096;

/// The token in a file, or else in the environment, if there is one. White space around it is not
/// of it.
pub(crate) fn token(file: Option<&Path>) -> Result<Option<String>, CliError> {
    let Some(path) = file else {
        let found = std::env::var(VARIABLE).unwrap_or_default();
        let found = found.trim();
        return Ok((!found.is_empty()).then(|| found.to_owned()));
    };
    let failed = |source| CliError::Io {
        action: "read the token in",
        path: path.into(),
        source,
    };
    let mut text = String::new();
    let file = File::open(path).map_err(failed)?;
    let read = file.take(MOST + 1).read_to_string(&mut text);
    read.map_err(failed)?;
    let wrong = |what: &str| CliError::Usage(format!("--token-file {}: {what}", path.display()));
    match text.trim() {
        "" => Err(wrong("there is no token in it")),
        _ if text.len() as u64 > MOST => Err(wrong("a token has at most 4096 bytes")),
        token => Ok(Some(token.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_a_text_without_the_space_around_it() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("token");
        let read = |text: &str| {
            std::fs::write(&path, text).expect("it is written");
            token(Some(&path)).map_err(|error| error.to_string())
        };
        assert_eq!(read(" a b\n"), Ok(Some("a b".into())));
        assert!(read(" \n").expect_err("nothing").contains("no token"));
        assert!(read(&"a".repeat(5000)).expect_err("much").contains("4096"));
        std::fs::remove_file(&path).expect("it is there");
        assert!(token(Some(&path)).is_err());
    }
}
