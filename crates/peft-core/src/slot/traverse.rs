//! Reaching the slots of a module whose type is not known.
//!
//! Burn's traversal hands a visitor the parameters inside a reparameterization but never the
//! reparameterization, and a mapper cannot replace the one that a parameter has. Both are needed
//! here, so while one of this file's functions runs, a thread-local tray passes slots between the
//! traversal and [`AdapterSlot`]'s own `visit` and `map`. Outside of them the tray is idle and a
//! slot is traversed like any module; a guard restores that even when a panic unwinds.

use std::cell::RefCell;
use std::collections::HashMap;

use burn::module::{Module, ModuleVisitor, Param, Reparameterization, Reparameterizer};
use burn::tensor::Tensor;

use super::AdapterSlot;
use crate::PeftError;
use crate::statistics::exchange;

enum Tray {
    Idle,
    /// A visited slot lays a copy of itself here.
    Collecting(Option<AdapterSlot>),
    /// A mapped slot takes its replacement from here.
    Installing(Option<AdapterSlot>),
    /// A slot that is asked for the effective value gives the base.
    Stripping,
}

thread_local! {
    static TRAY: RefCell<Tray> = const { RefCell::new(Tray::Idle) };
}

struct Guard;

impl Guard {
    fn set(tray: Tray) -> Self {
        TRAY.with_borrow_mut(|current| *current = tray);
        Self
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        TRAY.with_borrow_mut(|current| *current = Tray::Idle);
    }
}

/// Lay a copy of `slot` in the tray if slots are being collected; whether they are.
pub(super) fn offer(slot: &AdapterSlot) -> bool {
    TRAY.with_borrow_mut(|tray| match tray {
        Tray::Collecting(found) => {
            *found = Some(slot.clone());
            true
        }
        Tray::Idle | Tray::Installing(_) | Tray::Stripping => false,
    })
}

/// The replacement of the slot that is being mapped, if slots are being installed.
pub(super) fn take_replacement() -> Option<AdapterSlot> {
    TRAY.with_borrow_mut(|tray| match tray {
        Tray::Installing(replacement) => replacement.take(),
        Tray::Idle | Tray::Collecting(_) | Tray::Stripping => None,
    })
}

pub(super) fn stripping() -> bool {
    TRAY.with_borrow(|tray| matches!(tray, Tray::Stripping))
}

/// The container type under which Burn reports what is inside a reparameterization.
pub(crate) const REPARAMETERIZATION: &str = "Reparameterization";

#[derive(Default)]
struct Collector {
    path: Vec<String>,
    found: Vec<(String, AdapterSlot)>,
    foreign: Option<(String, String)>,
}

impl ModuleVisitor for Collector {
    fn enter_module(&mut self, name: &str, container: &str) {
        if container == REPARAMETERIZATION && name != AdapterSlot::NAME {
            self.foreign
                .get_or_insert_with(|| (self.path.join("."), name.to_owned()));
        }
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, name: &str, container: &str) {
        self.path.pop();
        if container == REPARAMETERIZATION && name == AdapterSlot::NAME {
            let slot = TRAY.with_borrow_mut(|tray| match tray {
                Tray::Collecting(found) => found.take(),
                Tray::Idle | Tray::Installing(_) | Tray::Stripping => None,
            });
            self.found
                .extend(slot.map(|slot| (self.path.join("."), slot)));
        }
    }
}

fn collect<M: Module>(model: &M) -> Collector {
    let _guard = Guard::set(Tray::Collecting(None));
    let mut collector = Collector::default();
    model.visit(&mut collector);
    collector
}

/// Copies of all slots of a model, with the paths of the parameters that carry them, in the model's
/// order.
///
/// A copy shares its tensors with the model, so this is cheap.
pub fn slots<M: Module>(model: &M) -> Vec<(String, AdapterSlot)> {
    collect(model).found
}

/// Change the slots of a model: `edit` gets each with its parameter's path; a slot left empty is
/// taken off the parameter.
///
/// # Errors
///
/// What `edit` returns, with the model untouched; or [`PeftError::ForeignReparameterization`] where
/// something other than a slot reparameterizes a parameter.
pub fn edit_slots<M: Module>(
    model: &mut M,
    mut edit: impl FnMut(&str, &mut AdapterSlot) -> Result<(), PeftError>,
) -> Result<(), PeftError> {
    edit_all_slots(model, |slots| {
        let mut slots = slots.iter_mut();
        slots.try_for_each(|(path, slot)| edit(path, slot))
    })
}

/// As [`edit_slots`], for what one slot becomes by what is in the others: `edit` gets them all,
/// with their parameters' paths.
///
/// # Errors
///
/// As [`edit_slots`].
pub fn edit_all_slots<M: Module>(
    model: &mut M,
    edit: impl FnOnce(&mut [(String, AdapterSlot)]) -> Result<(), PeftError>,
) -> Result<(), PeftError> {
    let collected = collect(model);
    refuse_foreign(&collected)?;
    let mut edited = collected.found;
    edit(&mut edited)?;
    exchange(model, &mut edited);
    if edited.iter().any(|(_, slot)| slot.is_empty()) {
        strip(model)?;
        edited.retain(|(_, slot)| !slot.is_empty());
    }
    install(model, edited.into_iter().collect())
}

struct Installer {
    existing: Vec<String>,
    slots: HashMap<String, AdapterSlot>,
}

impl Reparameterizer for Installer {
    type Reparam = AdapterSlot;

    fn reparameterize<const D: usize>(
        &mut self,
        path: &str,
        param: Param<Tensor<D>>,
    ) -> (Param<Tensor<D>>, Option<AdapterSlot>) {
        let Some(slot) = self.slots.remove(path) else {
            return (param, None);
        };
        if self.existing.iter().any(|found| found == path) {
            // Burn puts the parameter's own slot back after this call; that slot takes the tray's
            // content when it is mapped.
            TRAY.with_borrow_mut(|tray| *tray = Tray::Installing(Some(slot)));
            return (param, None);
        }
        (param, Some(slot))
    }
}

/// Put slots on the parameters of these paths, in place of those that are there.
pub(crate) fn install<M: Module>(
    model: &mut M,
    slots: HashMap<String, AdapterSlot>,
) -> Result<(), PeftError> {
    let collected = collect(model);
    refuse_foreign(&collected)?;
    let existing = collected.found.into_iter().map(|(path, _)| path).collect();
    let _guard = Guard::set(Tray::Installing(None));
    *model = model
        .clone()
        .apply_reparameterization(Installer { existing, slots });
    Ok(())
}

/// Take all slots off; the parameters are their bases, bit for bit.
pub(crate) fn strip<M: Module>(model: &mut M) -> Result<(), PeftError> {
    refuse_foreign(&collect(model))?;
    let _guard = Guard::set(Tray::Stripping);
    *model = model.clone().materialize();
    Ok(())
}

fn refuse_foreign(collected: &Collector) -> Result<(), PeftError> {
    match &collected.foreign {
        None => Ok(()),
        Some((path, kind)) => Err(PeftError::ForeignReparameterization {
            path: path.clone(),
            kind: kind.clone(),
        }),
    }
}
