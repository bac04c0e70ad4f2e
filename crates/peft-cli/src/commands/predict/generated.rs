//! [`Generated`]: answers that are generated.

use std::ops::Range;

use burn::module::Module;
use peft_models::{LanguageModel, Transformer};
use peft_store::{Adaptable, GenerationDefaults, GenerationFlags};
use peft_train::{
    GenerateConfig, Prompts, Questions, RowKind, TextReport, TextTokenizer, TrainError,
    generate_all,
};
use serde_json::{Map, Value, json};

use super::Predictor;
use super::output::SaidLines;
use crate::args::PredictArgs;
use crate::commands::answer::generate_config;
use crate::commands::generate::LIMIT;
use crate::commands::load;
use crate::commands::not_finite::not_finite;
use crate::commands::tokenizer::tokenizer;
use crate::error::CliError;
use crate::say::say;

/// Answers that are generated.
pub(super) struct Generated<'a> {
    args: &'a PredictArgs,
    model: Adaptable<LanguageModel>,
    tokenizer: TextTokenizer,
    prompts: Prompts,
    config: GenerateConfig,
    questions: &'a Questions,
}

impl<'a> Generated<'a> {
    pub(super) fn open(
        args: &'a PredictArgs,
        flags: &GenerationFlags,
        questions: &'a Questions,
    ) -> Result<Self, CliError> {
        let (checkpoint, model, _) = load(&args.model, args.adapter.as_deref())?;
        let (tokenizer, _) = tokenizer(
            &checkpoint,
            args.adapter.as_deref(),
            args.model.tokenizer.as_deref(),
        )?;
        if let Some(note) = tokenizer.check_end(checkpoint.config().vocab_size())? {
            say!("{note}");
        }
        if args.max_length.is_some() {
            return Err(CliError::Usage(
                "--max-length is for texts that are told or embedded; prompts are not cut, and --max-new-tokens bounds answers"
                    .into(),
            ));
        }
        let of_texts = questions.kind() == RowKind::Completion;
        if of_texts && tokenizer.has_chat_template() {
            say!(
                "each prompt is continued as it is, as training reads such rows; --chat makes it a user's turn in the model's chat template"
            );
        }
        let prompts = questions.prompts(&tokenizer, model.vocab_size(), model.max_positions())?;
        let settings = GenerationDefaults::read(checkpoint.folder())?.with(flags)?;
        for note in &settings.notes {
            say!("{note}");
        }
        let most = settings.max_new_tokens.unwrap_or(LIMIT);
        Ok(Self {
            config: generate_config(&settings, most, &tokenizer, args.sampling.seed),
            args,
            model: model.valid(),
            tokenizer,
            prompts,
            questions,
        })
    }
}

impl Predictor for Generated<'_> {
    fn settings(&self) -> Value {
        json!({ "task": "generation", "generation": format!("{:?}", self.config), "chat": self.args.chat })
    }

    fn predict(&mut self, rows: Range<usize>) -> Result<Vec<Map<String, Value>>, CliError> {
        let prompts = self.prompts.at(rows)?;
        let prompts: Vec<&[u32]> = prompts.iter().map(Vec::as_slice).collect();
        let generated = match generate_all(&self.model, &prompts, &self.config, |_, _| {}) {
            Err(error @ TrainError::NotFiniteLogits { .. }) => {
                let without = || {
                    let (_, base, _) = load(&self.args.model, None)?;
                    Ok(generate_all(&base.valid(), &prompts, &self.config, |_, _| {}).is_ok())
                };
                let adapter = self.args.adapter.as_deref();
                return Err(not_finite(error.to_string(), adapter, without));
            }
            generated => generated?,
        };
        let lines = generated.iter().zip(prompts).map(|(tokens, prompt)| {
            let cut = tokens.len() >= self.config.max_new_tokens
                || prompt.len() + tokens.len() > self.model.max_positions();
            let mut line = Map::new();
            line.insert("prediction".into(), self.tokenizer.decode(tokens)?.into());
            let why = if cut { "length" } else { "stop" };
            line.insert("finish_reason".into(), why.into());
            Ok(line)
        });
        lines.collect()
    }

    fn measures(&self, lines: &mut SaidLines<'_>) -> Result<Map<String, Value>, CliError> {
        let mut cut = 0;
        let pairs = lines.enumerate().map(|(row, line)| {
            let mut line = line?;
            cut += usize::from(line["finish_reason"] == "length");
            let said = line.remove("prediction");
            let said = said.as_ref().and_then(Value::as_str).map(str::to_owned);
            Ok::<_, CliError>(said.zip(self.questions.answer(row)?))
        });
        let of_texts = TextReport::of(pairs.filter_map(Result::transpose))?;
        let mut report = Map::new();
        report.insert("cut".into(), cut.into());
        if let Some(of_texts) = of_texts
            && let Value::Object(found) = json!(of_texts)
        {
            report.extend(found);
        }
        Ok(report)
    }
}
