//! [`route`]: rows of one batch go through different adapters.

mod routed;
mod routes;

use std::sync::Arc;

use burn::module::Module;
use burn::tensor::Device;

pub(crate) use routed::{embedding, features, linear, routes_of};
pub(crate) use routes::Routes;

use crate::slot::known;
use crate::{Adapter, AdapterSlot, PeftError, TokenRows, adapter_names, edit_slots, slots};

/// Give each row of a batch its own adapter: row `i` goes through the adapter `rows[i]` alone, as
/// it was trained, or through the base where that is `None`.
///
/// So one forward serves requests for several adapters. A row gives what it gives in a batch that
/// only its adapter acts on; on a layer that its adapter is not on it goes through the base. The
/// product with a base weight is formed once for all rows whose adapters do not change the layer's
/// input ([`Adapter::shares_input`](crate::Adapter::shares_input)), each adapter's part on its own
/// rows alone.
///
/// The choice holds for every later forward, of as many rows, until [`unroute`] or another choice.
/// It is no part of a record. Which adapters are active is kept and waits; a model that is switched
/// off is the base for every row.
///
/// A layer tells rows by its first axis, so the model must call [`linear`](crate::linear),
/// [`embedding`](crate::embedding) and, for norms that have copies, [`features`](crate::features),
/// with tensors whose first axis is that of the rows. They panic where it has another length, and a
/// parameter that is read in weight space does where rows differ.
///
/// # Errors
///
/// [`PeftError::UnknownAdapter`]; [`PeftError::NoAdapter`] for a model without any, a merged one
/// for instance; [`PeftError::InvalidSetting`] without rows; [`PeftError::Statistics`] where a
/// module with running statistics trains whole with an adapter; [`PeftError::RoutedInTraining`] on
/// a device with gradients: what trains would be a matter of each batch. The model is then as it
/// was.
pub fn route<M: Module>(model: &mut M, rows: &[Option<&str>]) -> Result<(), PeftError> {
    if rows.is_empty() {
        return Err(PeftError::InvalidSetting {
            field: "the number of rows".into(),
            value: "0".into(),
            expected: "at least 1",
        });
    }
    let available = adapter_names(model);
    for name in rows.iter().flatten() {
        known(name, &available)?;
    }
    if available.is_empty() {
        return Err(PeftError::NoAdapter);
    }
    let devices = model.devices();
    if devices.iter().any(Device::is_autodiff) {
        return Err(PeftError::RoutedInTraining);
    }
    let all = slots(model);
    let mut kept = all.iter().filter_map(|(_, slot)| slot.statistics());
    if let Some(statistics) = kept.next() {
        return Err(PeftError::Statistics {
            path: statistics.module().into(),
            problem: "are in the model once and cannot differ from row to row; activate one adapter for all rows",
        });
    }
    let is_tied = |slot: &AdapterSlot| {
        let mut names = slot.names();
        names.any(|name| slot.method(name) == Some(TokenRows::NAME))
    };
    if all.iter().any(|(_, slot)| is_tied(slot)) {
        return Err(PeftError::InvalidSetting {
            field: "what rows go through".into(),
            value: "an adapter that trains rows of an embedding".into(),
            expected: "none such, which an output layer that is tied reads for all rows alike",
        });
    }
    // A copy on each device, for all slots there.
    let mut made: Vec<(Device, Arc<Routes>)> = Vec::new();
    edit_slots(model, |_, slot| {
        let device = slot.collect_devices(Vec::new()).into_iter().next();
        let device = device.unwrap_or_else(|| devices[0].clone());
        let known = made.iter().find(|(of, _)| *of == device);
        let routes = match known {
            Some((_, routes)) => routes.clone(),
            None => {
                let routes = Arc::new(Routes::new(rows, &device));
                made.push((device, routes.clone()));
                routes
            }
        };
        slot.set_routes(Some(routes));
        Ok(())
    })
}

/// Undo [`route`]: the active adapters act again, on all rows.
///
/// # Errors
///
/// [`PeftError::ForeignReparameterization`].
pub fn unroute<M: Module>(model: &mut M) -> Result<(), PeftError> {
    edit_slots(model, |_, slot| {
        slot.set_routes(None);
        Ok(())
    })
}
