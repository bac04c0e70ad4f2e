//! The flags of `doctor`.

use clap::Args;

#[derive(Args)]
pub(crate) struct DoctorArgs {
    /// Devices to check, as flex or cuda:1; one of each backend of this build if not given
    #[arg(long = "device", value_name = "DEVICE", value_delimiter = ',')]
    pub(crate) devices: Vec<String>,
    /// One JSON object on standard output
    #[arg(long)]
    pub(crate) json: bool,
}
