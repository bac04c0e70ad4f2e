//! Freezing masks: train a set of the model's own parameters and nothing else.

use burn::module::{Module, Param};
use burn::tensor::Tensor;

use crate::select::Matcher;
use crate::select::Names;
use crate::select::params;
use crate::statistics::freeze_statistics;
use crate::{MapParams, ParamPlace, PeftError, Summary, map_params};

/// A set of a model's own parameters, by path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ParamSet {
    /// Every parameter.
    All,
    /// No parameter.
    None,
    /// The parameters of these paths, or inside modules of these paths.
    Names(Names),
}

impl ParamSet {
    /// The paths of its parameters in a model, in the model's order.
    ///
    /// # Errors
    ///
    /// [`PeftError::InvalidRegex`], or [`PeftError::Unmatched`] for an entry that chooses none.
    pub fn paths<M: Module>(&self, model: &M) -> Result<Vec<String>, PeftError> {
        let paths = params(model).into_iter().map(|param| param.path);
        let names = match self {
            Self::All => return Ok(paths.collect()),
            Self::None => return Ok(Vec::new()),
            Self::Names(names) => names,
        };
        let paths: Vec<String> = paths.collect();
        let matchers = Matcher::each("parameter", names)?;
        for (entry, matcher) in &matchers {
            if !paths.iter().any(|path| holds(matcher, path)) {
                return Err(PeftError::unmatched("parameter", entry, paths));
            }
        }
        let chosen = |path: &String| matchers.iter().any(|(_, matcher)| holds(matcher, path));
        Ok(paths.into_iter().filter(chosen).collect())
    }
}

/// Train exactly `set`: every other parameter of the model and of its adapters is frozen.
///
/// Frozen means no gradient, and bit-identical after any number of steps, running statistics of
/// modules in which nothing trains included. Flags such as a dropout's stay as they are.
///
/// # Errors
///
/// [`PeftError::Unmatched`], [`PeftError::InvalidRegex`] or [`PeftError::Statistics`], with the
/// model untouched.
pub fn freeze_all_but<M: Module>(model: &mut M, set: &ParamSet) -> Result<Summary, PeftError> {
    let keep = set.paths(model)?;
    let inside = |module: &str| {
        let module = format!("{module}.");
        keep.iter().any(|path| path.starts_with(&module))
    };
    let mut masked = model.clone();
    freeze_statistics(&mut masked, inside)?;
    *model = map_params(masked, &mut Mask { keep });
    Ok(Summary::of(model))
}

/// Whether `matcher` matches a parameter's path or that of a module around it.
fn holds(matcher: &Matcher, path: &str) -> bool {
    path.match_indices('.')
        .map(|(at, _)| &path[..at])
        .chain([path])
        .any(|prefix| matcher.matches(prefix))
}

struct Mask {
    keep: Vec<String>,
}

impl MapParams for Mask {
    fn map<const D: usize>(
        &mut self,
        at: &ParamPlace,
        param: Param<Tensor<D>>,
    ) -> Param<Tensor<D>> {
        let trains = self.keep.contains(&at.path());
        param.set_require_grad(trains)
    }
}
