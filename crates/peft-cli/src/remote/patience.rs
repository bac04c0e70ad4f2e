//! How long an answer is waited for.

use std::io::{self, ErrorKind};
use std::thread;
use std::time::{Duration, Instant};

/// Between two attempts.
pub(super) const PAUSE: Duration = Duration::from_millis(200);

/// Ask again until an answer comes, or so much time has passed: a network that is away for a moment
/// is waited for. Where nobody listens any more, or something else does, that is the answer.
pub(super) fn asked_within(
    limit: Duration,
    mut ask: impl FnMut() -> io::Result<()>,
) -> io::Result<()> {
    let began = Instant::now();
    loop {
        match ask() {
            Err(error) if began.elapsed() >= limit => return Err(error),
            Err(error) => match error.kind() {
                ErrorKind::ConnectionRefused | ErrorKind::InvalidData => return Err(error),
                _ => thread::sleep(PAUSE),
            },
            Ok(()) => return Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(20);

    #[test]
    fn a_network_that_is_away_for_a_moment_is_waited_for() {
        let asked = |kinds: &[ErrorKind], limit: Duration| {
            let mut kinds = kinds.iter();
            let mut times = 0;
            let found = asked_within(limit, || {
                times += 1;
                match kinds.next() {
                    Some(kind) => Err((*kind).into()),
                    None => Ok(()),
                }
            });
            (found.map_err(|error| error.kind()), times)
        };
        use ErrorKind::{ConnectionRefused, HostUnreachable, InvalidData, TimedOut};
        let away = [TimedOut, HostUnreachable];
        assert_eq!(asked(&away, LIMIT), (Ok(()), 3));
        assert_eq!(asked(&away, Duration::ZERO), (Err(TimedOut), 1));
        assert_eq!(
            asked(&[ConnectionRefused], LIMIT),
            (Err(ConnectionRefused), 1)
        );
        assert_eq!(asked(&[InvalidData], LIMIT), (Err(InvalidData), 1));
    }
}
