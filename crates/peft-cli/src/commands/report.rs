//! `peft report`: runs side by side, as one page that needs nothing else.

mod page;

use std::path::Path;

use self::page::{MARK, page};
use super::print_line;
use super::run_record::RunRecord;
use crate::args::ReportArgs;
use crate::error::CliError;

/// The largest page that is replaced: one of many runs has a few megabytes.
const LARGEST: u64 = 256 << 20;

pub(crate) fn run(args: &ReportArgs) -> Result<(), CliError> {
    let runs: Vec<RunRecord> = args
        .runs
        .iter()
        .map(|dir| RunRecord::read(dir))
        .collect::<Result<_, _>>()?;
    check_place(&args.out)?;
    let page = page(&runs)?;
    peft_files::replace(&args.out, page.as_bytes()).map_err(|source| CliError::Io {
        action: "write",
        path: args.out.clone(),
        source,
    })?;
    for run in &runs {
        print_line(run.line())?;
    }
    print_line(format!("wrote {}", args.out.display()))
}

/// A page is written over an older one, and over nothing else.
fn check_place(out: &Path) -> Result<(), CliError> {
    if !out.exists() {
        return Ok(());
    }
    let found = peft_files::read_text(out, LARGEST);
    match found.is_ok_and(|text| text.contains(MARK)) {
        true => Ok(()),
        false => Err(CliError::Usage(format!(
            "{} exists and is no report; name another file by --out",
            out.display()
        ))),
    }
}
