//! [`Companions`]: the files that go with a model or an adapter unchanged.

mod templates;

use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

use peft_files::{Bounds, Folder, copy};

use self::templates::{embedded, named};
use crate::CheckpointError;

/// What makes a tokenizer: what this project reads, and what Python's tokenizers may need.
const TOKENIZER: [&str; 17] = [
    TOKENIZER_JSON,
    CONFIG,
    "special_tokens_map.json",
    "added_tokens.json",
    "tokenizer.model",
    "vocab.json",
    "merges.txt",
    "vocab.txt",
    "vocab.bpe",
    "bpe.codes",
    "spiece.model",
    "sentencepiece.model",
    "sentencepiece.bpe.model",
    "source.spm",
    "target.spm",
    "tiktoken.model",
    "tekken.json",
];
/// The file that says whether a directory has a tokenizer of its own.
const TOKENIZER_JSON: &str = "tokenizer.json";
const CONFIG: &str = "tokenizer_config.json";
/// Chat templates in files of their own.
const TEMPLATES: [&str; 2] = [DEFAULT, "chat_template.json"];
const DEFAULT: &str = "chat_template.jinja";
/// The directory of those beside the default one, and what their names end in.
const MORE: &str = "additional_chat_templates";
const END: &str = ".jinja";
/// What goes with the weights.
const MODEL: [&str; 11] = [
    "generation_config.json",
    "preprocessor_config.json",
    "processor_config.json",
    "LICENSE",
    "LICENSE.md",
    "LICENSE.txt",
    "LICENCE",
    "COPYING",
    "NOTICE",
    "NOTICE.txt",
    "USE_POLICY.md",
];

/// The largest file that is copied: as large as a tokenizer may be.
const LARGEST: u64 = 512 << 20;
/// Chat templates that are copied.
const MOST: usize = 1000;

/// Where the files are that go with a model unchanged.
///
/// An adapter's directory may have a tokenizer of its own, and a chat template: trainers save them
/// beside it, and what it was trained with is what it is to be used with. Each of the two is taken
/// from there if it is there, and else from the model's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Companions {
    model: Folder,
    tokenizer: Folder,
    templates: Folder,
}

impl Companions {
    /// Those of a model with an adapter, or without one.
    pub fn of(model: impl Into<Folder>, adapter: Option<&Path>) -> Self {
        let model = model.into();
        let has = |dir: &Path, name: &str| fs::symlink_metadata(dir.join(name)).is_ok();
        let tokenizer = adapter.filter(|dir| has(dir, TOKENIZER_JSON));
        let templates = adapter.filter(|dir| {
            let files = TEMPLATES.iter().chain(&[MORE]);
            let within = || tokenizer.is_some() && !embedded(&Folder::from(dir)).is_empty();
            files.into_iter().any(|name| has(dir, name)) || within()
        });
        let or_model = |dir: Option<&Path>| dir.map_or_else(|| model.clone(), Folder::from);
        Self {
            tokenizer: or_model(tokenizer),
            templates: or_model(templates),
            model,
        }
    }

    /// The folder of the model.
    pub fn model(&self) -> &Folder {
        &self.model
    }

    /// The folder of the tokenizer.
    pub fn tokenizer(&self) -> &Folder {
        &self.tokenizer
    }

    /// The folder of the chat templates.
    pub fn templates(&self) -> &Folder {
        &self.templates
    }

    /// Whether a tokenizer or a template is not the model's own.
    pub fn differ(&self) -> bool {
        let kept = |folder: &Folder, name: &str| folder.read(name, LARGEST).ok();
        let other = |folder: &Folder, names: &[&str]| {
            let differs = |name: &&str| kept(folder, name) != kept(&self.model, name);
            *folder != self.model && names.iter().any(differs)
        };
        other(&self.tokenizer, &TOKENIZER) || other(&self.templates, &TEMPLATES)
    }

    /// Whether the tokenizer can be copied, and what goes with a model if that is to be too: to be
    /// asked before the work that is to be saved.
    ///
    /// # Errors
    ///
    /// Those of [`copy_all`](Self::copy_all).
    pub fn check(&self, with_model: bool) -> Result<(), CheckpointError> {
        let check = |folder: &Folder, names: &[&str]| {
            if folder.texts().is_some() {
                return Ok(());
            }
            let dir = folder.path();
            let bounds = Bounds::of(dir, LARGEST).map_err(|source| failed(dir, source))?;
            for name in names {
                let found = bounds.open(Path::new(name));
                found.map_err(|source| failed(&dir.join(name), source))?;
            }
            Ok(())
        };
        if with_model {
            check(&self.model, &MODEL)?;
        }
        check(&self.tokenizer, &TOKENIZER)?;
        check(&self.templates, &TEMPLATES)?;
        let more = self.more()?;
        check(
            &self.templates,
            &more.iter().map(String::as_str).collect::<Vec<_>>(),
        )
    }

    /// The paths of the templates beside the default one.
    fn more(&self) -> Result<Vec<String>, CheckpointError> {
        if self.templates.texts().is_some() {
            return Ok(Vec::new());
        }
        let dir = self.templates.file(MORE);
        let names = named(&dir, END, MOST).map_err(|source| failed(&dir, source))?;
        Ok(names.iter().map(|name| format!("{MORE}/{name}")).collect())
    }

    /// Copy all of them to `dir`, where the model is written.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::Io`]: what is no regular file, or a link that leads out of its directory,
    /// is not copied.
    pub fn copy_all(&self, dir: &Path) -> Result<(), CheckpointError> {
        copy_files(&self.model, &MODEL, dir)?;
        self.copy_tokenizer(dir)
    }

    /// Copy the tokenizer with its chat templates to `dir`, where an adapter is written.
    ///
    /// # Errors
    ///
    /// Those of [`copy_all`](Self::copy_all).
    pub fn copy_tokenizer(&self, dir: &Path) -> Result<(), CheckpointError> {
        copy_files(&self.tokenizer, &TOKENIZER, dir)?;
        copy_files(&self.templates, &TEMPLATES, dir)?;
        let more = self.more()?;
        let make = |dir: &Path| {
            let dir = dir.join(MORE);
            fs::create_dir_all(&dir).map_err(|source| failed(&dir, source))
        };
        if !more.is_empty() {
            make(dir)?;
        }
        let more: Vec<&str> = more.iter().map(String::as_str).collect();
        copy_files(&self.templates, &more, dir)?;
        if self.templates == self.tokenizer || dir.join(DEFAULT).exists() || !more.is_empty() {
            return Ok(());
        }
        // They lie in the config of a tokenizer that is not the one that is copied.
        for (name, text) in embedded(&self.templates) {
            let to = match name.as_str() {
                "default" => dir.join(DEFAULT),
                name => {
                    make(dir)?;
                    dir.join(MORE).join(format!("{name}{END}"))
                }
            };
            let written = peft_files::replace(&to, text.as_bytes());
            written.map_err(|source| failed(&to, source))?;
        }
        Ok(())
    }
}

/// Copy the files of `from` that are there, but those that `to` has already.
fn copy_files(from: &Folder, names: &[&str], to: &Path) -> Result<(), CheckpointError> {
    if let Some(texts) = from.texts() {
        for (name, text) in texts
            .iter()
            .filter(|(name, _)| names.contains(&name.as_str()))
        {
            let path = to.join(name);
            let written = peft_files::replace(&path, text.as_bytes());
            written.map_err(|source| failed(&path, source))?;
        }
        return Ok(());
    }
    let from = from.path();
    let bounds = match Bounds::of(from, LARGEST) {
        Ok(bounds) => bounds,
        Err(source) => return Err(failed(from, source)),
    };
    for name in names {
        let (path, target) = (from.join(name), to.join(name));
        if is_same(&path, &target) {
            continue;
        }
        let copied = copy(&bounds, Path::new(name), &target);
        copied.map_err(|source| failed(&path, source))?;
    }
    Ok(())
}

/// Whether a file is there already, as what is saved many times in a run is.
fn is_same(from: &Path, to: &Path) -> bool {
    let size = |path: &Path| fs::metadata(path).ok().map(|found| found.len());
    let there = size(to);
    if there.is_none() || there != size(from) {
        return false;
    }
    let read = |path: &Path| peft_files::read(path, LARGEST);
    matches!((read(from), read(to)), (Ok(from), Ok(to)) if from == to)
}

fn failed(path: &Path, source: io::Error) -> CheckpointError {
    let source = match source.kind() {
        // A link to nowhere.
        ErrorKind::NotFound => io::Error::new(
            ErrorKind::NotFound,
            "it is a link that leads nowhere, or is not there",
        ),
        _ => source,
    };
    CheckpointError::Io {
        action: "copy",
        path: path.into(),
        source,
    }
}
