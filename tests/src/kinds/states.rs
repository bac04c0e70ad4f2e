//! States of runs: their files, and what they say with checksums that fit.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use burn::module::Module;
use burn::tensor::{Device, TensorData};
use peft_conformance::{filled_adapters, params};
use peft_core::{Placed, Targets};
use peft_lora::LoraConfig;
use peft_models::LanguageModel;
use peft_mutate::Kind;
use peft_train::{
    Digest, EvalReport, Example, NextToken, Observer, Progress, StateDir, StepReport, TrainConfig,
    TrainError, TrainState, train,
};
use serde_json::Value;

use super::adapters::base;
use super::files;

const STATE: &str = "resume.safetensors";
const TEXT: &str = "state.json";

/// Keeps the states of the first two steps and ends the run there; or watches it.
struct Keep(Option<StateDir>);

impl<M: Module> Observer<M> for Keep {
    fn on_step(
        &mut self,
        report: &StepReport,
        progress: &Progress<'_, M>,
    ) -> Result<(), TrainError> {
        let Some(dir) = &self.0 else { return Ok(()) };
        dir.save(&progress.state())?;
        match report.step {
            1 => Ok(()),
            _ => Err(TrainError::NothingTrains),
        }
    }

    fn on_eval(&mut self, _: &EvalReport, _: bool, _: &Progress<'_, M>) -> Result<(), TrainError> {
        Ok(())
    }
}

/// A run of three steps.
struct Run {
    model: LanguageModel,
    rows: Vec<Example>,
}

impl Run {
    fn new(device: &Device) -> Self {
        let mut model = base("gqa", &device.clone().autodiff());
        LoraConfig::new(2, 4.0)
            .with_targets(Targets::suffixes(["q_proj", "down_proj"]))
            .attach(&mut model, "default")
            .expect("it attaches");
        let row = |n: u32| Example::new((0..n).collect(), vec![true; n as usize]);
        Self {
            // Not drawn: tests of other threads draw from the same device.
            model: filled_adapters(model),
            rows: (3..9).map(row).collect(),
        }
    }

    fn from(
        &self,
        state: Option<&TrainState>,
        keep: &mut Keep,
    ) -> Result<LanguageModel, TrainError> {
        let settings = TrainConfig {
            batch_size: 2,
            max_steps: Some(3),
            learning_rate: 0.02,
            seed: 11,
            ..TrainConfig::default()
        };
        let model = self.model.clone();
        train(model, &NextToken, &self.rows, None, &settings, state, keep)
    }

    /// The newest state after two steps, alone: the one before it would be read in its place.
    fn state(&self) -> BTreeMap<String, Vec<u8>> {
        let dir = tempfile::tempdir().expect("a directory");
        let keep = &mut Keep(Some(StateDir::new(dir.path())));
        assert!(self.from(None, keep).is_err(), "it ends at its second step");
        files(dir.path(), &[STATE])
    }

    /// What it ends at from the state in a directory, if that is taken.
    fn resumed(&self, dir: &Path) -> Option<LanguageModel> {
        let found = StateDir::new(dir).load().ok()??;
        self.from(Some(&found.state), &mut Keep(None)).ok()
    }
}

/// Every parameter, bit for bit.
fn bits(model: &LanguageModel) -> BTreeMap<String, TensorData> {
    let params = params(model).into_iter();
    params.map(|(path, seen)| (path, seen.data)).collect()
}

/// States of a run, gone on from: what is taken ends where an undisturbed run does.
///
/// # Panics
///
/// The reader, where it does not.
pub fn states(device: &Device) -> Kind<'static> {
    let run = Run::new(device);
    let whole = bits(&run.from(None, &mut Keep(None)).expect("it runs"));
    Kind::new("state", vec![run.state()], move |dir, _| {
        let resumed = run.resumed(dir);
        if let Some(model) = &resumed {
            assert!(bits(model) == whole, "it ends at other parameters");
        }
        resumed.is_some()
    })
}

/// What a state says of itself, in a file whose checksums fit it.
pub fn texts_of_states(device: &Device) -> Kind<'static> {
    let run = Run::new(device);
    let whole = run.state().remove(STATE).expect("a state");
    let length = u64::from_le_bytes(*whole.first_chunk().expect("a length")) as usize;
    let (header, tensors) = (whole[8..8 + length].to_vec(), whole[8 + length..].to_vec());
    let header: Value = serde_json::from_slice(&header).expect("a header");
    let text = header["__metadata__"]["state"].as_str().expect("a text");
    let sound = vec![BTreeMap::from([(TEXT.to_owned(), text.into())])];
    Kind::new("text of a state", sound, move |dir, _| {
        let text = fs::read(dir.join(TEXT)).expect("it is read");
        let text = String::from_utf8_lossy(&text);
        let mut header = header.clone();
        header["__metadata__"]["state"] = text.as_ref().into();
        let mut digest = Digest::default();
        for part in ["state", "", &text] {
            digest.add_bytes(part.as_bytes());
        }
        // The checksums are the file's end, and that of the text the last of them.
        let tensors = &tensors[..tensors.len() - 16];
        let (header, digest) = (header.to_string(), digest.to_string());
        let length = (header.len() as u64).to_le_bytes();
        let file = [&length, header.as_bytes(), tensors, digest.as_bytes()].concat();
        fs::write(dir.join(STATE), file).expect("it is written");
        run.resumed(dir).is_some()
    })
}
