//! `peft worker`: this machine's devices, for others.

use std::net::{IpAddr, SocketAddr, TcpListener, ToSocketAddrs};

use crate::args::WorkerArgs;
use crate::device::device;
use crate::error::CliError;
use crate::remote::token;

pub(crate) fn run(args: &WorkerArgs) -> Result<(), CliError> {
    let token = token(args.token_file.as_deref())?;
    let listen = &args.listen;
    let wrong = |why: &str| CliError::Usage(format!("--listen {listen}: {why}"));
    let addresses = listen.to_socket_addrs();
    let addresses: Vec<SocketAddr> = addresses
        .map_err(|error| {
            wrong(&format!(
                "no HOST:PORT of this machine, as 127.0.0.1:3000 is: {error}"
            ))
        })?
        .collect();
    let beyond = addresses.iter().any(|at| !is_loopback(at.ip()));
    if beyond && token.is_none() {
        return Err(wrong(
            "other machines reach that address, and whoever does could use these devices; give a token by --token-file, or listen on 127.0.0.1",
        ));
    }
    let backend = |name: &str| name.split(':').next().unwrap_or_default().to_owned();
    let mut backends = args.devices.iter().map(|name| backend(name));
    let first = backends.next().unwrap_or_default();
    if let Some(other) = backends.find(|other| *other != first) {
        return Err(CliError::Usage(format!(
            "--device: a worker's devices are of one backend, and these are of `{first}` and `{other}`; start a worker for each, with a port of its own"
        )));
    }
    let devices = args.devices.iter().map(|name| device(name));
    let devices = devices.collect::<Result<Vec<_>, _>>()?;
    let listener = TcpListener::bind(&*addresses)
        .map_err(|error| wrong(&format!("cannot listen there: {error}")))?;
    serve(args, devices, listener, token)
}

/// Addresses that no other machine reaches.
fn is_loopback(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_loopback(),
        IpAddr::V6(address) => {
            address.is_loopback() || address.to_ipv4_mapped().is_some_and(|v4| v4.is_loopback())
        }
    }
}

#[cfg(not(feature = "remote"))]
fn serve(
    _: &WorkerArgs,
    _: Vec<burn::tensor::Device>,
    _: TcpListener,
    _: Option<String>,
) -> Result<(), CliError> {
    Err(crate::remote::not_built("worker"))
}

#[cfg(feature = "remote")]
fn serve(
    args: &WorkerArgs,
    devices: Vec<burn::tensor::Device>,
    listener: TcpListener,
    token: Option<String>,
) -> Result<(), CliError> {
    use std::io::{Write, stdout};

    use burn::server::{RemoteServer, TokenAuthorizer, WebSocketTransport};

    let failed = |why: String| CliError::Worker {
        device: args.devices.join(","),
        why,
    };
    let at = listener.local_addr();
    let at = at.map_err(|error| failed(error.to_string()))?;
    let with = match token {
        Some(_) => "with the token",
        None => "without a token",
    };
    let mut server = RemoteServer::new(devices);
    if let Some(token) = token {
        let token = TokenAuthorizer::new(token).map_err(|error| failed(error.to_string()))?;
        server = server.with_authorizer(token);
    }
    super::print_line(format_args!(
        "peft {} serves {} at ws://{at}, {with}; Ctrl-C ends it",
        env!("CARGO_PKG_VERSION"),
        args.devices.join(", ")
    ))?;
    stdout().flush().map_err(CliError::Output)?;
    server
        .serve(WebSocketTransport::from_listener(listener))
        .map_err(|error| failed(error.to_string()))
}
