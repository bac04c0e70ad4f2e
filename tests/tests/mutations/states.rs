//! States of runs: their files, and what they say with checksums that fit.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use burn::module::Module;
use burn::tensor::Device;
use peft_models::DecoderForCausalLm;
use peft_mutate::Kind;
use peft_train::{
    Digest, EvalReport, NextToken, Observer, Progress, StateDir, StepReport, TrainConfig,
    TrainError, train,
};
use serde_json::Value;

use super::files;
use crate::training::{Log, adapted, config, examples};

const STATE: &str = "resume.safetensors";
const TEXT: &str = "state.json";

/// Saves two states and ends the run.
struct Save(StateDir);

impl<M: Module> Observer<M> for Save {
    fn on_step(
        &mut self,
        report: &StepReport,
        progress: &Progress<'_, M>,
    ) -> Result<(), TrainError> {
        self.0.save(&progress.state())?;
        match report.step {
            1 => Ok(()),
            _ => Err(TrainError::NothingTrains),
        }
    }

    fn on_eval(&mut self, _: &EvalReport, _: bool, _: &Progress<'_, M>) -> Result<(), TrainError> {
        Ok(())
    }
}

fn settings() -> TrainConfig {
    config(4, 3)
}

fn states(device: &Device) -> BTreeMap<String, Vec<u8>> {
    let dir = tempfile::tempdir().expect("a directory");
    let mut save = Save(StateDir::new(dir.path()));
    let ended = train(
        adapted(device, 0.0),
        &NextToken,
        &examples(10),
        None,
        &settings(),
        None,
        &mut save,
    );
    assert!(ended.is_err());
    // The newest alone: the one before it would be read in its place.
    files(dir.path(), &[STATE])
}

pub(super) fn kind(device: &Device) -> Kind<'_> {
    let model = adapted(device, 0.0);
    Kind::new("state", vec![states(device)], move |dir, _| {
        goes_on(dir, &model)
    })
}

fn goes_on(dir: &Path, model: &DecoderForCausalLm) -> bool {
    let Ok(Some(found)) = StateDir::new(dir).load() else {
        return false;
    };
    let (rows, settings) = (examples(10), settings());
    let state = Some(&found.state);
    let log = &mut Log::default();
    train(
        model.clone(),
        &NextToken,
        &rows,
        None,
        &settings,
        state,
        log,
    )
    .is_ok()
}

/// What a state says of itself, in a file whose checksums fit it.
pub(super) fn text(device: &Device) -> Kind<'_> {
    let model = adapted(device, 0.0);
    let whole = states(device).remove(STATE).expect("a state");
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
        goes_on(dir, &model)
    })
}
