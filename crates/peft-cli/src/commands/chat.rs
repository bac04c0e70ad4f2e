//! `peft chat`: a conversation, by the model's own template.

mod input;

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use burn::module::Module;
use peft_models::{LanguageModel, Transformer};
use peft_store::{
    Adaptable, Checkpoint, CheckpointConfig, GenerationDefaults, GenerationSettings, adaptable,
};
use peft_train::{EncodeSpecial, ReadText, TextTokenizer, conversation};
use serde_json::{Map, Value, json};
use signal_hook::consts::SIGINT;
use signal_hook::flag;

use self::input::{Input, Line};
use super::adapted::{attach, open_for_task};
use super::answer::{Shown, answer, generate_config};
use super::tokenizer::tokenizer;
use super::{opened, print_line, say_divided, say_held, say_left_alone};
use crate::args::{ChatArgs, ModelArgs};
use crate::device::placed;
use crate::error::CliError;
use crate::say::say;

/// Tokens of an answer at most, where neither the caller nor the model says.
const LIMIT: usize = 512;

const HELP: &str = "\
/reset            forget the conversation
/system TEXT      tell the system this, and begin anew; without TEXT nothing
/adapter DIR      go on with this adapter; `none` for the model alone
/save FILE        write the conversation as a row that `train` takes
/help             this
/quit             end; so does the end of the input
Ctrl-C stops an answer, and ends the program where there is none";

pub(crate) fn run(args: &ChatArgs) -> Result<(), CliError> {
    let flags = args.sampling.flags()?;
    let checkpoint = opened(&args.model)?;
    let name = args.model.model.display().to_string();
    if let CheckpointConfig::Encoder(_) = checkpoint.config() {
        return Err(CliError::Usage(format!(
            "{name} is an encoder, which gives a label or an embedding and no answers: `peft generate --model {name} --prompt TEXT`"
        )));
    }
    let (of_model, _) = tokenizer(
        &checkpoint,
        args.adapter.as_deref(),
        args.model.tokenizer.as_deref(),
    )?;
    if !of_model.has_chat_template() {
        return Err(CliError::Usage(format!(
            "{name} has no chat template, by which turns are written, so it does not chat; `peft generate --model {name} --prompt TEXT` continues a text"
        )));
    }
    if let Some(note) = of_model.check_end(checkpoint.config().vocab_size())? {
        say!("{note}");
    }
    let settings = GenerationDefaults::read(checkpoint.folder())?.with(&flags)?;
    for note in &settings.notes {
        say!("{note}");
    }
    let (device, dtype) = placed(&args.model)?;
    say_left_alone(&checkpoint, &device)?;
    let base = checkpoint.load(&device, dtype)?;
    say_held(&base);
    say_divided(&args.model, &base);
    let mut chat = Chat {
        of: &args.model,
        checkpoint,
        model: adaptable(base.clone()),
        base,
        tokenizer: of_model,
        settings,
        seed: args.sampling.seed,
        system: args.system.clone(),
        messages: Vec::new(),
        read: ReadText::default(),
        stop: Stop::listen()?,
    };
    if let Some(dir) = &args.adapter {
        chat.adapt(dir)?;
    }
    // A template may have no place for a system, which is better known before the first turn.
    chat.prompt(&[json!({ "role": "user", "content": "." })])?;
    say!("/help lists the commands");
    let mut input = Input::new()?;
    loop {
        let line = match input.next()? {
            Line::Text(line) => line,
            Line::End => return Ok(()),
        };
        let text = line.trim();
        if text.is_empty() {
            continue;
        }
        let done = match text.strip_prefix('/') {
            Some(command) => match chat.command(command) {
                Ok(ControlFlow::Break(())) => return Ok(()),
                Ok(ControlFlow::Continue(())) => Ok(()),
                Err(error) => Err(error),
            },
            None => chat.turn(text),
        };
        match done {
            // Nobody reads what is said.
            Err(error) if error.is_closed_output() => return Err(error),
            Err(error) if input.is_terminal() => say!("error: {}", error.chain()),
            done => done?,
        }
    }
}

/// A conversation that goes on.
struct Chat<'a> {
    of: &'a ModelArgs,
    checkpoint: Checkpoint,
    /// The model alone; what is adapted shares its weights.
    base: LanguageModel,
    model: Adaptable<LanguageModel>,
    tokenizer: TextTokenizer,
    settings: GenerationSettings,
    seed: u64,
    system: Option<String>,
    messages: Vec<Value>,
    /// What the model has read of it.
    read: ReadText,
    stop: Stop,
}

impl Chat<'_> {
    /// The tokens of the conversation with these messages behind it, up to where the answer begins.
    fn prompt(&self, behind: &[Value]) -> Result<Vec<u32>, CliError> {
        let messages = conversation(&Value::Array(self.all(behind))).map_err(CliError::Usage)?;
        let rendered = self.tokenizer.render_marked(&messages, &Map::new(), true)?;
        Ok(self.tokenizer.encode(&rendered.text, EncodeSpecial::None)?)
    }

    /// The messages, the system's first, and these behind them.
    fn all(&self, behind: &[Value]) -> Vec<Value> {
        let system = self.system.as_ref();
        let system = system.map(|text| json!({ "role": "system", "content": text }));
        let messages = self.messages.iter().chain(behind).cloned();
        system.into_iter().chain(messages).collect()
    }

    /// A user's turn and its answer. A turn that fails is as if it had not been.
    fn turn(&mut self, text: &str) -> Result<(), CliError> {
        let turn = json!({ "role": "user", "content": text });
        let prompt = self.prompt(std::slice::from_ref(&turn))?;
        let positions = self.model.max_positions();
        let left = match positions.checked_sub(prompt.len()) {
            None | Some(0) => {
                return Err(CliError::Usage(format!(
                    "the conversation has {} tokens, and the model takes {positions}: /reset begins anew, and a shorter message may still fit",
                    prompt.len()
                )));
            }
            Some(left) => left,
        };
        let most = self.settings.max_new_tokens.unwrap_or(LIMIT).min(left);
        // Another one each turn: the same words are not answered alike.
        let seed = self.seed.wrapping_add(self.messages.len() as u64);
        let config = generate_config(&self.settings, most, &self.tokenizer, seed);
        let mut shown = Shown::new(true);
        let stop = self.stop.begin();
        let answered = answer(
            &self.model.valid(),
            &mut self.read,
            &prompt,
            &config,
            &self.tokenizer,
            |piece| match stop.is_asked() {
                true => ControlFlow::Break(()),
                false => shown.put(piece),
            },
        );
        let stopped = stop.is_asked();
        drop(stop);
        let answered = answered?;
        shown.end()?;
        if stopped {
            say!("(stopped)");
        } else if answered.tokens == most && most == left {
            say!("(cut: the model takes {positions} tokens; /reset begins anew)");
        } else if answered.tokens == most {
            say!("(cut at {most} tokens; --max-new-tokens sets another limit)");
        }
        self.messages.push(turn);
        self.messages
            .push(json!({ "role": "assistant", "content": answered.text }));
        Ok(())
    }

    /// What stands behind a slash; a break where it ends the conversation.
    fn command(&mut self, line: &str) -> Result<ControlFlow<()>, CliError> {
        let (name, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let rest = rest.trim();
        match (name, rest) {
            ("quit" | "exit", "") => return Ok(ControlFlow::Break(())),
            ("help", "") => print_line(HELP)?,
            ("reset", "") => self.reset(),
            ("system", text) => {
                let before = self.system.take();
                self.system = Some(text.to_owned()).filter(|text| !text.is_empty());
                if let Err(error) = self.prompt(&[json!({ "role": "user", "content": "." })]) {
                    self.system = before;
                    return Err(error);
                }
                self.reset();
            }
            ("adapter", "") => {
                return Err(CliError::Usage(
                    "/adapter is followed by a directory, or by `none`".into(),
                ));
            }
            ("adapter", "none") => {
                self.model = adaptable(self.base.clone());
                self.change_tokenizer(None)?;
                say!("the model alone");
            }
            ("adapter", dir) => {
                self.adapt(Path::new(dir))?;
                say!("with {dir}; the conversation goes on");
            }
            ("save", "") => {
                return Err(CliError::Usage("/save is followed by a file".into()));
            }
            ("save", file) => self.save(Path::new(file))?,
            _ => {
                let names = ["reset", "system", "adapter", "save", "help", "quit"];
                let names = names.map(str::to_owned);
                let hint = peft_core::nearest(name, &names)
                    .map_or_else(String::new, |near| format!("; did you mean /{near}?"));
                return Err(CliError::Usage(format!(
                    "there is no /{name}{hint} (/help lists all)"
                )));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    fn reset(&mut self) {
        self.messages.clear();
        say!("the conversation begins anew");
    }

    /// Go on with an adapter in place of what there is; where it does not fit, all stays.
    fn adapt(&mut self, dir: &Path) -> Result<(), CliError> {
        let saved = open_for_task(dir, &self.checkpoint)?;
        let mut model = adaptable(saved.untied(self.base.clone())?);
        attach(&saved, &mut model)?;
        self.change_tokenizer(Some(dir.to_owned()))?;
        self.model = model;
        Ok(())
    }

    fn change_tokenizer(&mut self, adapter: Option<PathBuf>) -> Result<(), CliError> {
        let named = self.of.tokenizer.as_deref();
        (self.tokenizer, _) = tokenizer(&self.checkpoint, adapter.as_deref(), named)?;
        self.read = ReadText::default();
        Ok(())
    }

    /// One row of JSONL.
    fn save(&self, file: &Path) -> Result<(), CliError> {
        if file.exists() {
            return Err(CliError::Usage(format!(
                "{} exists already; name another file",
                file.display()
            )));
        }
        let row = json!({ "messages": self.all(&[]) });
        let text = format!("{row}\n");
        peft_files::replace(file, text.as_bytes()).map_err(|source| CliError::Io {
            action: "write",
            path: file.into(),
            source,
        })?;
        say!("wrote {}", file.display());
        Ok(())
    }
}

/// Ctrl-C, which stops an answer and, between answers, the program.
struct Stop {
    asked: Arc<AtomicBool>,
    idle: Arc<AtomicBool>,
}

impl Stop {
    fn listen() -> Result<Self, CliError> {
        let stop = Self {
            asked: Arc::default(),
            idle: Arc::new(AtomicBool::new(true)),
        };
        let listening =
            flag::register_conditional_shutdown(SIGINT, 128 + SIGINT, Arc::clone(&stop.idle))
                .and_then(|_| flag::register(SIGINT, Arc::clone(&stop.asked)));
        listening.map_err(|source| CliError::Io {
            action: "listen to signals in",
            path: ".".into(),
            source,
        })?;
        Ok(stop)
    }

    /// An answer begins; it ends when what is returned is dropped.
    fn begin(&self) -> Answering {
        self.asked.store(false, Ordering::SeqCst);
        self.idle.store(false, Ordering::SeqCst);
        Answering {
            asked: Arc::clone(&self.asked),
            idle: Arc::clone(&self.idle),
        }
    }
}

/// While an answer is made.
struct Answering {
    asked: Arc<AtomicBool>,
    idle: Arc<AtomicBool>,
}

impl Answering {
    fn is_asked(&self) -> bool {
        self.asked.load(Ordering::SeqCst)
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.idle.store(true, Ordering::SeqCst);
    }
}
