//! [`Job::fold`]: fold an adapter in, write, read back, compare, and only then keep.

use burn::module::Module;
use burn::tensor::{Device, Int, Tensor};
use peft_core::{into_merged, set_disabled};
use peft_files::NewDir;
use peft_store::{Checkpoint, Companions, Precision, SavedAdapter, write_checkpoint};
use peft_train::TextTokenizer;
use serde_json::{Map, Value};

use super::compare::{agreement, gap, last_bit_moved, mean_gap, same};
use super::probe::{Logits, Probe};
use crate::args::MergeArgs;
use crate::commands::not_finite::not_finite;
use crate::error::CliError;
use crate::say::say;

const FOLDED: &str = "the merged model differs from the unmerged one";
const WRITTEN: &str = "the merged model that was written differs from the one in memory";

/// A merge, whatever the kind of model.
pub(super) struct Job<'a> {
    pub(super) args: &'a MergeArgs,
    pub(super) saved: &'a SavedAdapter,
    pub(super) place: NewDir,
    pub(super) companions: Companions,
    /// Whether there is a tokenizer.
    pub(super) has_tokenizer: bool,
    pub(super) probe: Probe,
    pub(super) precision: Precision,
    pub(super) device: Device,
}

impl Job<'_> {
    /// Merge `model`, to which the adapter is attached, and keep it if it computes what it did.
    ///
    /// One model is in memory at a time: each weight is freed when its merged one is there, and the
    /// model before what was written of it is read.
    pub(super) fn fold<M: Module>(
        self,
        model: M,
        logits: impl Fn(&M, Tensor<2, Int>) -> Logits,
        prepare: impl FnOnce(M) -> M,
        fields: impl FnOnce(&M) -> Map<String, Value>,
        reload: impl FnOnce(&Checkpoint) -> Result<M, CliError>,
    ) -> Result<(), CliError> {
        let (args, precision) = (self.args, &self.precision);
        let read = |model: &M| self.probe.read(&self.device, |ids| logits(model, ids));
        let unmerged = read(&model);
        let is_finite = |rows: &[Logits]| gap(rows, rows).0.is_finite();
        if !is_finite(&unmerged) {
            let what =
                "the unmerged model has a logit that is no finite number; nothing was written";
            let without = || {
                let mut base = model;
                set_disabled(&mut base, true)?;
                Ok(is_finite(&read(&base)))
            };
            return Err(not_finite(what, Some(&args.adapter), without));
        }
        let (model, effect) = match self.saved {
            SavedAdapter::Peft(_) | SavedAdapter::Own(_) => {
                let mut base = model.clone();
                set_disabled(&mut base, true)?;
                let effect = mean_gap(&unmerged, &read(&base));
                drop(base);
                (into_merged(prepare(model))?, Some(effect))
            }
            // Parameters of the model itself are in their place already.
            SavedAdapter::Trained(_) => (prepare(model), None),
        };
        let merged = read(&model);
        let moved = || read(&last_bit_moved(model.clone()));
        let pair = (unmerged.as_slice(), merged.as_slice());
        let folded = same(FOLDED, pair, args.accept_difference, moved)?;

        let model = precision.round(model)?;
        let rounded = match precision.is_f32() {
            true => merged,
            false => read(&model),
        };
        let (dir, beside) = (self.place.path(), Some(&self.companions));
        write_checkpoint(&model, &fields(&model), beside, precision.clone(), dir)?;
        drop(model);
        let written = reload(&Checkpoint::open(dir)?)?;
        let found = read(&written);
        let moved = || read(&last_bit_moved(written.clone()));
        let pair = (rounded.as_slice(), found.as_slice());
        same(WRITTEN, pair, args.accept_difference, moved)?;
        drop(written);
        if self.has_tokenizer && !self.probe.is_of(&TextTokenizer::from_dir(dir)?) {
            return Err(CliError::MergeTokens);
        }
        let place = self.place.keep()?;

        let name = precision.describe();
        say!(
            "merged into {}, in {name}; computed in f32, logits differ from the unmerged model's by at most {folded:.2e} before they are rounded to that",
            place.display()
        );
        if !precision.is_f32() {
            let texts = |all| self.probe.of_texts(all);
            let (unmerged, rounded) = (texts(&unmerged), texts(&rounded));
            let (same, all) = agreement(unmerged, rounded);
            say!(
                "rounding the weights to {name} moves them by at most {:.2e}; the largest is the same at {same} of {all} positions",
                gap(unmerged, rounded).0
            );
        }
        if effect.is_some_and(|effect| mean_gap(&unmerged, &rounded) >= effect && effect > 0.0) {
            say!(
                "warning: that is as much as the adapter itself moves them, so little of it is left; --dtype f32 keeps it"
            );
        }
        Ok(())
    }
}
