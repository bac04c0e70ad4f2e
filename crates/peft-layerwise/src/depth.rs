//! [`Depth`]: the place of each parameter, by the order of traversal.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use burn::module::Module;
use peft_core::{Parameter, PeftError, parameters};

use crate::BlockPlace;

/// Where each parameter of a model lies, computed once.
///
/// The blocks are the longest list of modules that the model has, the first of several; a
/// parameter's list and its index there are found as
/// [`Targets::layer_index`](peft_core::Targets::layer_index) finds them. What is traversed before
/// the first block lies below, everything else that is in none above: so a model declares its
/// fields in the order in which they act. An output layer that is the transposed embedding is the
/// embedding, and lies below. An adapter's parameters lie where the layer does that it is on. An
/// input adapter's lie below, since all blocks read what it gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Depth {
    n_blocks: usize,
    places: HashMap<String, BlockPlace>,
}

impl Depth {
    /// The places in a model.
    ///
    /// # Errors
    ///
    /// [`PeftError::NoLayerIndex`] where it has no list of modules.
    pub fn of<M: Module>(model: &M) -> Result<Self, PeftError> {
        let parameters = parameters(model);
        let Some((blocks, n_blocks)) = stack(&parameters) else {
            let mut paths = parameters.into_iter().map(|parameter| parameter.path);
            return Err(PeftError::NoLayerIndex {
                path: paths.next().unwrap_or_default(),
            });
        };
        let mut places = HashMap::with_capacity(parameters.len());
        let mut outside = BlockPlace::Below;
        for parameter in parameters {
            let place = match parameter.layer {
                _ if parameter.in_input_adapter => BlockPlace::Below,
                Some((list, index)) if list == blocks => {
                    outside = BlockPlace::Above;
                    BlockPlace::Block(index)
                }
                _ => outside,
            };
            places.insert(parameter.path, place);
        }
        Ok(Self { n_blocks, places })
    }

    /// How many blocks there are.
    pub fn n_blocks(&self) -> usize {
        self.n_blocks
    }

    /// The place of the parameter at `path`, if the model has it.
    pub fn place(&self, path: &str) -> Option<BlockPlace> {
        self.places.get(path).copied()
    }

    /// Every parameter's path with its place.
    pub fn iter(&self) -> impl Iterator<Item = (&str, BlockPlace)> {
        let places = self.places.iter();
        places.map(|(path, place)| (path.as_str(), *place))
    }

    /// The places at which there are parameters, from the input to the output.
    pub fn places(&self) -> Vec<BlockPlace> {
        let places: BTreeSet<BlockPlace> = self.places.values().copied().collect();
        places.into_iter().collect()
    }

    /// That `n` blocks can be chosen.
    pub(crate) fn check(&self, n: usize, least: usize) -> Result<(), PeftError> {
        match (least..=self.n_blocks).contains(&n) {
            true => Ok(()),
            false => Err(PeftError::LayerCount {
                asked: n,
                count: self.n_blocks,
            }),
        }
    }
}

/// The longest list of modules, and its length.
fn stack(parameters: &[Parameter]) -> Option<(String, usize)> {
    let mut lists: Vec<&str> = Vec::new();
    let mut lengths: BTreeMap<&str, usize> = BTreeMap::new();
    let own = parameters.iter().filter(|found| !found.in_input_adapter);
    for (list, index) in own.filter_map(|parameter| parameter.layer.as_ref()) {
        if !lengths.contains_key(list.as_str()) {
            lists.push(list);
        }
        let length = lengths.entry(list).or_default();
        *length = (*length).max(index + 1);
    }
    // The last of the largest is taken: the first, in reverse order.
    let longest = lists.into_iter().rev().max_by_key(|list| lengths[list])?;
    Some((longest.to_owned(), lengths[longest]))
}
