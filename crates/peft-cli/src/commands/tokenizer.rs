//! [`tokenizer`]: the tokenizer and the chat template of a model with its adapter.

use std::path::Path;

use peft_store::{Checkpoint, Companions};
use peft_train::TextTokenizer;

use crate::error::CliError;
use crate::say::say;

/// The tokenizer, and where its files are: those of the directory that `--tokenizer` names, else
/// the adapter's own where it has one. What is not the model's own is said, and so is one that is
/// larger than the model's vocabulary.
pub(super) fn tokenizer(
    checkpoint: &Checkpoint,
    adapter: Option<&Path>,
    named: Option<&Path>,
) -> Result<(TextTokenizer, Companions), CliError> {
    let missing = named.filter(|dir| !dir.join("tokenizer.json").exists());
    if let Some(dir) = missing {
        let dir = dir.display();
        return Err(CliError::Usage(format!(
            "--tokenizer: {dir} has no tokenizer.json; name a directory that has one"
        )));
    }
    let adapter = named.or(adapter);
    let companions = Companions::of(checkpoint.folder(), adapter);
    let read = TextTokenizer::from_folders(
        companions.tokenizer(),
        companions.templates(),
        companions.model(),
    )?;
    if let Some(adapter) = adapter.filter(|_| companions.differ()) {
        let own = [
            ("tokenizer", companions.tokenizer()),
            ("chat template", companions.templates()),
        ];
        let own = own.iter().filter(|(_, folder)| folder.path() == adapter);
        let own: Vec<&str> = own.map(|(what, _)| *what).collect();
        say!(
            "{} of {}, which is not the model's, is used",
            own.join(" and "),
            adapter.display()
        );
    }
    if let Some(class) = read.unlike_class() {
        say!(
            "warning: transformers reads the tokenizer in {} as a {class}, which makes its own of it; here tokenizer.json is read as it is, so that tokens may \
             differ (`tokenizer_class` in tokenizer_config.json: PreTrainedTokenizerFast reads it as it is there too)",
            companions.tokenizer().path().display()
        );
    }
    let (tokens, held) = (read.vocab_size(), checkpoint.config().vocab_size());
    if tokens > held {
        say!(
            "warning: the tokenizer in {} has {tokens} tokens, but the model's vocabulary has {held}: texts with a token beyond that cannot be read",
            companions.tokenizer().path().display()
        );
    }
    Ok((read, companions))
}
