//! [`Link`]: the way to a worker, which is never silent for ever.
//!
//! Burn's client waits without an end for a worker that has stopped, and panics where one has gone.
//! So it does not connect to the worker itself: it does to a port of this process, behind which
//! a link passes on what comes, in both directions. When nothing comes for a while, the link asks
//! the worker for a sign of life over a connection of its own, which a worker gives however long
//! it computes. Where there is none, or the connection ends, the link notes why and closes: whoever
//! waits is woken by that, panics, and finds the note.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind, set_hook, take_hook};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Once, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use socket2::{SockRef, TcpKeepalive};

use super::patience::{PAUSE, asked_within};
use crate::error::CliError;

/// How long a connection may take to be there.
const CONNECT: Duration = Duration::from_secs(5);
/// How long a worker that has just been started is waited for.
const PATIENCE: Duration = Duration::from_secs(5);
/// After how long a silence a sign of life is asked for.
const SILENCE: Duration = Duration::from_secs(5);
/// How long the worker has to give it.
const ANSWER: Duration = Duration::from_secs(20);
/// How long a panic waits for the note of its reason: that the connection ends is seen by both.
const NOTE: Duration = Duration::from_secs(2);
/// Bytes that are passed on at a time.
const PIECE: usize = 256 << 10;

/// Those of this process, in the order in which they were opened.
static LINKS: Mutex<Vec<Arc<Link>>> = Mutex::new(Vec::new());

/// The way to the worker at one address, for all of its devices.
#[derive(Debug)]
pub(super) struct Link {
    /// Of the worker, as it was named.
    address: String,
    targets: Vec<SocketAddr>,
    /// Where this process connects instead.
    local: SocketAddr,
    lost: Mutex<Option<String>>,
    /// Bytes that have gone to the worker, and come from there.
    sent: AtomicU64,
    received: AtomicU64,
}

impl Link {
    /// The one to `address`, which is opened at the first call: the worker has given a sign of life
    /// then.
    pub(super) fn to(address: &str) -> io::Result<Arc<Self>> {
        let mut links = LINKS.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(link) = links.iter().find(|link| link.address == address) {
            return Ok(Arc::clone(link));
        }
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let link = Arc::new(Self {
            address: address.into(),
            targets: targets(address)?,
            local: listener.local_addr()?,
            lost: Mutex::default(),
            sent: AtomicU64::default(),
            received: AtomicU64::default(),
        });
        link.wait_for()?;
        quiet_when_lost();
        links.push(Arc::clone(&link));
        let of = Arc::clone(&link);
        thread::spawn(move || of.serve(&listener));
        Ok(link)
    }

    /// Where it begins.
    pub(super) fn local(&self) -> SocketAddr {
        self.local
    }

    /// Why nothing comes from the worker any more, if that is so.
    pub(super) fn lost(&self) -> Option<String> {
        let lost = self.lost.lock().unwrap_or_else(PoisonError::into_inner);
        lost.clone()
    }

    /// The first reason stays.
    fn note(&self, why: impl Into<String>) {
        let mut lost = self.lost.lock().unwrap_or_else(PoisonError::into_inner);
        lost.get_or_insert(why.into());
    }

    /// A worker that listens; one that does not yet is given a moment.
    fn wait_for(&self) -> io::Result<()> {
        let started = Instant::now();
        loop {
            match self.ask() {
                Err(error)
                    if error.kind() == ErrorKind::ConnectionRefused
                        && started.elapsed() < PATIENCE =>
                {
                    thread::sleep(PAUSE);
                }
                Err(error) => {
                    let text = match error.kind() {
                        ErrorKind::ConnectionRefused => {
                            "no worker listens there (`peft worker` starts one)".to_owned()
                        }
                        ErrorKind::InvalidData => error.to_string(),
                        ErrorKind::WouldBlock | ErrorKind::TimedOut => {
                            "cannot be reached: no answer came in time".to_owned()
                        }
                        _ => format!("cannot be reached: {error}"),
                    };
                    return Err(io::Error::new(error.kind(), text));
                }
                Ok(()) => return Ok(()),
            }
        }
    }

    fn connect(&self) -> io::Result<TcpStream> {
        let mut failed = io::Error::new(ErrorKind::NotFound, "the name has no address");
        for target in &self.targets {
            match TcpStream::connect_timeout(target, CONNECT) {
                Ok(stream) => return Ok(stream),
                Err(error) => failed = error,
            }
        }
        Err(failed)
    }

    /// Ask the worker for a sign of life, which its server of HTTP gives.
    fn ask(&self) -> io::Result<()> {
        let mut stream = self.connect()?;
        stream.set_read_timeout(Some(ANSWER))?;
        stream.set_write_timeout(Some(ANSWER))?;
        let address = &self.address;
        let asked = format!("GET / HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        stream.write_all(asked.as_bytes())?;
        let mut start = [0; 5];
        let read = stream.read_exact(&mut start);
        match read {
            Ok(()) if &start == b"HTTP/" => Ok(()),
            Err(error) if error.kind() != ErrorKind::UnexpectedEof => Err(error),
            Ok(()) | Err(_) => Err(io::Error::new(
                ErrorKind::InvalidData,
                "what listens there is no worker",
            )),
        }
    }

    /// Whether the worker gives a sign of life; if not, that is noted.
    fn is_alive(&self) -> bool {
        let began = Instant::now();
        let asked = asked_within(ANSWER, || self.ask());
        if let Err(error) = &asked {
            let why = match error.kind() {
                ErrorKind::WouldBlock | ErrorKind::TimedOut => {
                    let silent = SILENCE + began.elapsed();
                    format!("the worker has not answered for {silent:.0?}")
                }
                _ => format!("the worker is not there any more: {error}"),
            };
            self.note(why);
        }
        asked.is_ok()
    }

    fn serve(self: Arc<Self>, listener: &TcpListener) {
        for near in listener.incoming().flatten() {
            let link = Arc::clone(&self);
            thread::spawn(move || link.carry(&near));
        }
    }

    /// Pass on what comes from either side until one ends.
    fn carry(&self, near: &TcpStream) {
        let far = match self.connect() {
            Ok(far) => far,
            Err(error) => return self.note(format!("the worker cannot be reached: {error}")),
        };
        // A connection that the way to the worker has forgotten is noticed by that, as Burn has it.
        let keepalive = TcpKeepalive::new()
            .with_time(Duration::from_secs(10))
            .with_interval(Duration::from_secs(5));
        let set = SockRef::from(&far).set_tcp_keepalive(&keepalive);
        let set = set.and_then(|()| far.set_read_timeout(Some(SILENCE)));
        let set = set.and_then(|()| far.set_write_timeout(Some(SILENCE)));
        let set = set.and_then(|()| far.set_nodelay(true));
        if let Err(error) = set.and_then(|()| near.set_nodelay(true)) {
            return self.note(format!("a socket cannot be set up: {error}"));
        }
        let ended = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| self.pass_on(near, &far, &ended));
            self.bring(&far, near, &ended);
        });
    }

    /// What this process says, to the worker.
    fn pass_on(&self, mut near: &TcpStream, far: &TcpStream, ended: &AtomicBool) {
        let mut piece = vec![0; PIECE];
        let passed = loop {
            match near.read(&mut piece) {
                Ok(0) => break Ok(()),
                Ok(n) => {
                    if let Err(error) = self.write(far, &piece[..n]) {
                        break Err(error);
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // The other direction has closed it, and has said why.
                Err(_) => break Ok(()),
            }
        };
        match passed {
            Ok(()) => ended.store(true, Ordering::SeqCst),
            Err(error) => self.note(format!("the connection to the worker has failed: {error}")),
        }
        close(near, far);
    }

    /// A worker that computes may take nothing for long, as long as it gives a sign of life.
    fn write(&self, mut far: &TcpStream, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match far.write(bytes) {
                Ok(n) => {
                    self.sent.fetch_add(n as u64, Ordering::Relaxed);
                    bytes = &bytes[n..];
                }
                Err(error) => match error.kind() {
                    ErrorKind::Interrupted => {}
                    ErrorKind::WouldBlock | ErrorKind::TimedOut if self.is_alive() => {}
                    _ => return Err(error),
                },
            }
        }
        Ok(())
    }

    /// What the worker says, to this process.
    fn bring(&self, mut far: &TcpStream, mut near: &TcpStream, ended: &AtomicBool) {
        let mut piece = vec![0; PIECE];
        loop {
            let ends = || ended.load(Ordering::SeqCst);
            match far.read(&mut piece) {
                Ok(0) => {
                    if !ends() {
                        self.note(
                            "the worker has ended the connection; what it says there may tell why",
                        );
                    }
                    break;
                }
                // Who does not read any more has ended.
                Ok(n) => {
                    self.received.fetch_add(n as u64, Ordering::Relaxed);
                    if near.write_all(&piece[..n]).is_err() {
                        break;
                    }
                }
                Err(error) => match error.kind() {
                    ErrorKind::Interrupted => {}
                    ErrorKind::WouldBlock | ErrorKind::TimedOut if !ends() && self.is_alive() => {}
                    _ if ends() => break,
                    _ => {
                        self.note(format!("the connection to the worker has failed: {error}"));
                        break;
                    }
                },
            }
        }
        close(near, far);
    }
}

/// Where a `host:port` is.
fn targets(address: &str) -> io::Result<Vec<SocketAddr>> {
    let found = address.to_socket_addrs();
    let named = |error: io::Error| {
        let text = format!("its host has no address that this machine knows: {error}");
        io::Error::new(error.kind(), text)
    };
    Ok(found.map_err(named)?.collect())
}

/// Both sides, if they are not closed already.
fn close(near: &TcpStream, far: &TcpStream) {
    let _ = near.shutdown(Shutdown::Both);
    let _ = far.shutdown(Shutdown::Both);
}

/// Whether this process has gone to a worker.
pub(super) fn any() -> bool {
    !all().is_empty()
}

/// Bytes that have gone to all workers, and come from them.
pub(super) fn moved() -> (u64, u64) {
    let sum = |of: fn(&Link) -> &AtomicU64| {
        let read = |link: &Arc<Link>| of(link).load(Ordering::Relaxed);
        all().iter().map(read).sum()
    };
    (sum(|link| &link.sent), sum(|link| &link.received))
}

fn all() -> Vec<Arc<Link>> {
    LINKS.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// Which worker is lost, and why.
fn lost() -> Option<(String, String)> {
    let lost = |link: &Arc<Link>| Some((format!("remote:ws://{}", link.address), link.lost()?));
    all().iter().find_map(lost)
}

/// The same in words, for whoever has just panicked: the reason may be noted a moment later.
pub(super) fn lost_soon() -> Option<String> {
    let (device, why) = wait_for_note()?;
    Some(CliError::Worker { device, why }.to_string())
}

fn wait_for_note() -> Option<(String, String)> {
    let started = Instant::now();
    loop {
        let found = lost();
        if found.is_some() || !any() || started.elapsed() > NOTE {
            return found;
        }
        thread::sleep(Duration::from_millis(20));
    }
}

/// From now on, panics whose reason is a worker that is lost are not shown: the error is.
fn quiet_when_lost() {
    static SET: Once = Once::new();
    SET.call_once(|| {
        let shows = take_hook();
        set_hook(Box::new(move |panic| {
            if wait_for_note().is_none() {
                shows(panic);
            }
        }));
    });
}

/// What some work gives, or the error of the worker that is lost, where it panics for that.
pub(super) fn unless_lost<T>(work: impl FnOnce() -> Result<T, CliError>) -> Result<T, CliError> {
    // Of what the work has begun to change, nothing is looked at again.
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| match wait_for_note() {
        Some((device, why)) => Err(CliError::Worker { device, why }),
        None => resume_unwind(panic),
    })
}
