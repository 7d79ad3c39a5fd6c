//! What figures are taken on: a report without it says nothing.

use anyhow::Result;
use xshell::cmd;

use crate::workspace::Workspace;

/// The host as it names itself.
#[derive(Debug)]
pub struct Host {
    /// Its processor and how many of them there are.
    pub processor: String,
    /// Its kernel.
    pub kernel: String,
}

impl Host {
    /// Asks it.
    pub fn ask(workspace: &Workspace) -> Result<Self> {
        let count = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let model = cpuinfo("model name").unwrap_or_else(|| std::env::consts::ARCH.to_owned());
        Ok(Self {
            processor: format!("{model}, {count} processors"),
            kernel: cmd!(workspace.shell, "uname -sr").quiet().read()?,
        })
    }
}

/// Whether the host is a virtual machine itself.
pub fn is_virtual() -> bool {
    cpuinfo("flags").is_some_and(|flags| flags.split(' ').any(|flag| flag == "hypervisor"))
}

/// Whether the host's processor shows what a KVM needs that executes guests by itself.
pub fn has_virtualisation() -> bool {
    cpuinfo("flags")
        .is_some_and(|flags| flags.split(' ').any(|flag| flag == "vmx" || flag == "svm"))
}

/// What Linux says of the first processor.
fn cpuinfo(field: &str) -> Option<String> {
    let text = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with(field))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}
