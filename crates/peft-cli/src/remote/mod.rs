//! Devices of other machines, which `peft worker` lends: what of them the rest of the command sees.
//! In a build without them a name of one is refused.

#[cfg(feature = "remote")]
mod connect;
#[cfg(feature = "remote")]
mod link;
#[cfg(feature = "remote")]
mod patience;
mod size;
mod token;

use std::path::Path;

use burn::tensor::Device;
use peft_train::LostDevice;

pub(crate) use self::size::check_sizes;
pub(crate) use self::token::token;
use crate::error::CliError;

/// What begins the name of such a device.
const PREFIX: &str = "remote:";

/// What such a device is called.
const EXPECTED: &str =
    "remote:ws://HOST:PORT, or remote:ws://HOST:PORT/N for the worker's device N";

/// The place of a worker and the number of a device there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct RemoteName<'a> {
    /// `host:port`.
    address: &'a str,
    index: usize,
}

impl<'a> RemoteName<'a> {
    fn parse(name: &'a str) -> Option<Self> {
        let rest = name.strip_prefix(PREFIX)?.strip_prefix("ws://")?;
        let (address, index) = match rest.split_once('/') {
            Some((address, "")) => (address, 0),
            Some((address, index)) => (address, index.parse().ok()?),
            None => (rest, 0),
        };
        let (host, port) = address.rsplit_once(':')?;
        let known = !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0);
        known.then_some(Self { address, index })
    }
}

/// Whether a name is meant to be one of a worker's device.
pub(crate) fn is_named(name: &str) -> bool {
    name.starts_with(PREFIX)
}

/// How a worker's device is to be named.
pub(crate) fn misnamed(name: &str) -> CliError {
    CliError::Usage(format!("device `{name}`: a worker's is called {EXPECTED}"))
}

/// Whether the first of two devices is a worker's, and the second of another machine: values go
/// from one to the other by way of this one.
pub(crate) fn apart(first: &str, other: &str) -> bool {
    let address = |name| RemoteName::parse(name).map(|name| name.address);
    match (address(first), address(other)) {
        (Some(first), Some(other)) => first != other,
        _ => false,
    }
}

/// A worker's device, connected; the same one each time.
pub(crate) fn device(name: &str, token_file: Option<&Path>) -> Result<Device, CliError> {
    let Some(parsed) = RemoteName::parse(name) else {
        return Err(misnamed(name));
    };
    #[cfg(feature = "remote")]
    return connect::device(name, parsed, token(token_file)?);
    #[cfg(not(feature = "remote"))]
    {
        let _ = (parsed.index, token_file);
        Err(not_built(&format!("device `{name}`")))
    }
}

/// What this build refuses.
#[cfg(not(feature = "remote"))]
pub(crate) fn not_built(what: &str) -> CliError {
    CliError::Usage(format!(
        "{what}: this build has no workers; `cargo build --release --features remote` makes one that has"
    ))
}

/// Who knows whether a worker's device is lost, in a run that has such a device.
pub(crate) fn watched<'a>() -> Option<LostDevice<'a>> {
    #[cfg(feature = "remote")]
    return link::any().then_some(&link::lost_soon as LostDevice<'a>);
    #[cfg(not(feature = "remote"))]
    None
}

/// Bytes that have gone to workers so far, and come from them, operations and all; in a run that
/// has workers.
pub(crate) fn moved() -> Option<(u64, u64)> {
    #[cfg(feature = "remote")]
    return link::any().then(link::moved);
    #[cfg(not(feature = "remote"))]
    None
}

/// What some work gives; an error that names the device if it panics where a worker's device is
/// lost. Any other panic goes on.
pub(crate) fn unless_lost<T>(work: impl FnOnce() -> Result<T, CliError>) -> Result<T, CliError> {
    #[cfg(feature = "remote")]
    return link::unless_lost(work);
    #[cfg(not(feature = "remote"))]
    work()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_or_refused() {
        let read = |name| RemoteName::parse(name).map(|of| (of.address, of.index));
        assert_eq!(read("remote:ws://a:3000"), Some(("a:3000", 0)));
        assert_eq!(read("remote:ws://a:3000/"), Some(("a:3000", 0)));
        assert_eq!(read("remote:ws://[::1]:3000/2"), Some(("[::1]:3000", 2)));
        for wrong in [
            "remote:",
            "remote:a:3000",
            "remote:wss://a:3000",
            "remote:ws://a",
            "remote:ws://:3000",
            "remote:ws://a:0",
            "remote:ws://a:70000",
            "remote:ws://a:3000/x",
            "ws://a:3000",
        ] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn two_workers_are_apart_and_devices_of_one_are_not() {
        assert!(apart("remote:ws://a:1", "remote:ws://b:1"));
        assert!(!apart("remote:ws://a:1", "remote:ws://a:1/1"));
        assert!(!apart("remote:ws://a:1", "flex"));
        assert!(!apart("flex", "remote:ws://a:1"));
    }
}
