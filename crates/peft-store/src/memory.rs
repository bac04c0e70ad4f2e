//! Whether the machine's memory holds what is to be made in it: asked before anything is allocated.

use std::fs;
use std::path::{Path, PathBuf};

use burn::tensor::{DType, Device};

/// What stays free, as one part in so many of what is available: the command itself, its rows and
/// one batch need some.
const MARGIN: u64 = 20;

/// More than the machine's memory holds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{what} takes {}, and the machine has {} of memory available", gib(*needed), gib(Some(*available))
)]
#[non_exhaustive]
pub struct MemoryError {
    /// What is to be held, such as `the model in F32`.
    pub what: String,
    /// Its bytes; none where there are more than a number of 64 bits counts.
    pub needed: Option<u64>,
    /// Bytes that the machine has available.
    pub available: u64,
}

impl MemoryError {
    /// An error if tensors of these shapes in `dtype` are more than the memory of `device` holds.
    /// What is not known is not checked: the memory of graphics devices, and that of systems that
    /// do not say.
    ///
    /// # Errors
    ///
    /// Itself.
    pub fn check<'a>(
        what: impl FnOnce() -> String,
        shapes: impl IntoIterator<Item = &'a [usize]>,
        dtype: DType,
        device: &Device,
    ) -> Result<(), Self> {
        let Some(available) = on_cores(device).then(memory_available).flatten() else {
            return Ok(());
        };
        let needed = bytes(shapes, dtype.size());
        match needed {
            Some(needed) if needed <= available - available / MARGIN => Ok(()),
            _ => Err(Self {
                what: what(),
                needed,
                available,
            }),
        }
    }
}

/// The bytes of elements of `size` in tensors of these shapes, if they can be counted.
fn bytes<'a>(shapes: impl IntoIterator<Item = &'a [usize]>, size: usize) -> Option<u64> {
    shapes.into_iter().try_fold(0u64, |sum, shape| {
        let mut of = u64::try_from(size).ok()?;
        for side in shape {
            of = of.checked_mul(u64::try_from(*side).ok()?)?;
        }
        sum.checked_add(of)
    })
}

fn gib(bytes: Option<u64>) -> String {
    match bytes {
        Some(bytes) => format!("{:.2} GiB", bytes as f64 / f64::from(1 << 30)),
        None => "more than 2^64 bytes".into(),
    }
}

/// Whether tensors of a device are in the machine's own memory. Burn tells devices apart by their
/// names alone.
pub(crate) fn on_cores(device: &Device) -> bool {
    let name = format!("{device:?}");
    ["Flex", "NdArray"].iter().any(|kind| name.contains(kind))
}

/// The bytes that this process can still take: what the system has, and what its control group
/// leaves it. None where the system does not say.
pub fn memory_available() -> Option<u64> {
    let system = fs::read_to_string("/proc/meminfo").ok();
    let system = system.and_then(|text| Some(field(&text, "MemAvailable:")?.saturating_mul(1024)));
    let group = fs::read_to_string("/proc/self/cgroup").ok();
    let group = group.and_then(|text| left_in_group(&text, Path::new("/sys/fs/cgroup")));
    system.into_iter().chain(group).min()
}

/// What the control groups of this process leave it, by both versions of the interface; what caches
/// files is given back when asked for.
fn left_in_group(groups: &str, root: &Path) -> Option<u64> {
    let number = |path: PathBuf| fs::read_to_string(path).ok()?.trim().parse::<u64>().ok();
    let left = |dir: &Path, limit: &str, used: &str, cached: &str| {
        let limit = number(dir.join(limit))?;
        let used = number(dir.join(used))?;
        let stat = fs::read_to_string(dir.join("memory.stat")).unwrap_or_default();
        let cached = field(&stat, cached).unwrap_or(0);
        Some(limit.saturating_sub(used.saturating_sub(cached)))
    };
    let mut found: Option<u64> = None;
    for line in groups.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, path) = (parts.next()?, parts.next()?);
        let path = path.trim_start_matches('/');
        let of = |base: PathBuf| [base.join(path), base];
        let (dirs, [limit, used, cached]) = match controllers {
            "" => (
                of(root.to_path_buf()),
                ["memory.max", "memory.current", "file"],
            ),
            names if names.split(',').any(|name| name == "memory") => (
                of(root.join("memory")),
                ["memory.limit_in_bytes", "memory.usage_in_bytes", "cache"],
            ),
            _ => continue,
        };
        let least = dirs.iter().filter_map(|dir| left(dir, limit, used, cached));
        found = found.into_iter().chain(least).min();
    }
    found
}

/// The number behind a name at the beginning of a line.
fn field(text: &str, name: &str) -> Option<u64> {
    let mut words = text.lines().map(str::split_whitespace);
    let mut line = words.find_map(|mut words| (words.next() == Some(name)).then_some(words))?;
    line.next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_counted_without_overflow() {
        assert_eq!(bytes([&[2, 3][..], &[5]], 4), Some(44));
        assert_eq!(bytes([&[1 << 40, 1 << 30][..]], 4), None);
        assert_eq!(bytes([&[usize::MAX][..], &[1]], 1), None);
        let device = Device::default();
        let (small, large) = ([4, 4], [1 << 30, 1 << 20]);
        let check =
            |shape: &[usize]| MemoryError::check(|| "it".into(), [shape], DType::F32, &device);
        assert_eq!(check(&small), Ok(()));
        if memory_available().is_some() && on_cores(&device) {
            let error = check(&large).expect_err("4 PiB");
            assert!(
                error.to_string().contains("it takes 4194304.00 GiB"),
                "{error}"
            );
        }
    }

    #[test]
    fn a_control_group_leaves_what_is_under_its_limit() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let write = |path: &str, text: &str| {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().expect("inside")).expect("it can be made");
            fs::write(path, text).expect("it can be written");
        };
        let left = |groups| left_in_group(groups, dir.path());
        assert_eq!(left("0::/a"), None);
        write("a/memory.max", "1000\n");
        write("a/memory.current", "700\n");
        write("a/memory.stat", "anon 200\nfile 500\n");
        assert_eq!(left("0::/a\n"), Some(800));
        assert_eq!(left("garbage"), None);
        write("memory/b/memory.limit_in_bytes", "600\n");
        write("memory/b/memory.usage_in_bytes", "100\n");
        assert_eq!(left("4:cpu,memory:/b\n0::/a\n"), Some(500));
        write("a/memory.max", "max\n");
        assert_eq!(left("0::/a\n"), None);
    }
}
