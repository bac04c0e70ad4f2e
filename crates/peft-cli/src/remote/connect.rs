//! The first contact with a worker.

use burn::remote::{ConnectError, RemoteHost};
use burn::tensor::Device;

use super::RemoteName;
use super::link::Link;
use crate::error::CliError;

/// A worker's device, by way of a [`Link`].
pub(super) fn device(
    name: &str,
    parsed: RemoteName<'_>,
    token: Option<String>,
) -> Result<Device, CliError> {
    let failed = |why: String| CliError::Worker {
        device: name.into(),
        why,
    };
    let link = Link::to(parsed.address).map_err(|error| failed(error.to_string()))?;
    let has_token = token.is_some();
    let mut host = RemoteHost::websocket(&format!("ws://{}", link.local()));
    if let Some(token) = token {
        host = host.with_credential(token);
    }
    let device = Device::remote_options(&host).device_index(parsed.index);
    device.init().map_err(|error| match error {
        ConnectError::Unauthorized if has_token => CliError::Usage(format!(
            "device `{name}`: the worker refuses the token, which is not the one that it was started with"
        )),
        ConnectError::Unauthorized => CliError::Usage(format!(
            "device `{name}`: the worker asks for a token; give the one that it was started with by --token-file, or in {}",
            super::token::VARIABLE
        )),
        ConnectError::NoSuchDevice { device_count } => CliError::Usage(format!(
            "device `{name}`: the worker lends {device_count}, numbered from 0"
        )),
        ConnectError::IncompatibleProtocol {
            client_version,
            server_version,
        } => failed(format!(
            "the worker is of another version: it speaks version {server_version} of Burn's protocol, and this command version {client_version}; run the same version of peft on both"
        )),
        error => failed(link.lost().unwrap_or_else(|| error.to_string())),
    })
}
