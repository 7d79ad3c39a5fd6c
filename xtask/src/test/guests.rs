//! Runs the guests as a libtest-like list: one line for each guest on each machine.
//!
//! A benchmark guest runs here too, at the small size that it has without a command line.

use std::path::{Path, PathBuf};
use std::time::Duration;

use libtest_mimic::{Arguments, Completion, Failed, Trial};

use super::{durability, expect};
use crate::guest::Guest;
use crate::guest::header::{Header, Outcome, Qemu, flag_value};
use crate::machine::{Machine, ScratchDisk};
use crate::process::{Finished, Invocation};

/// After this a guest is killed, whatever it declares: far beyond what any needs on a busy machine.
const HARD_LIMIT: Duration = Duration::from_secs(90);

/// monovisor's own limit where a header sets none: a guest that hangs dies with a report.
pub const REPORTED_LIMIT: &str = "--timeout=60s";

/// What QEMU may take to start on a busy machine, beyond a guest's own time limit.
const FIRMWARE: Duration = Duration::from_secs(8);

/// Guests at a time: they are short, and more would disturb those that watch timers.
const THREADS: usize = 2;

/// One guest on one machine.
struct Case {
    image: PathBuf,
    header: Header,
    machine: Machine,
    /// Whose output must be the same, for a machine that is compared.
    reference: Option<Machine>,
}

/// Runs all guests whose test name contains `filter`; `true` if none failed.
pub fn run(
    guests: &[Guest],
    images: &Path,
    machines: &[(&'static str, Machine)],
    filter: Option<&str>,
) -> bool {
    let mut trials = Vec::new();
    for guest in guests {
        match guest.checked_header() {
            Ok(header) => {
                let image = images.join(&guest.name);
                trials.extend(
                    machines.iter().map(|machine| trial(guest, header, &image, machine, machines)),
                );
                if durability::is_for(&guest.name) {
                    let (label, machine) = &machines[0];
                    trials.push(durability::trial(images, header, label, machine));
                }
            }
            Err(faults) => {
                let name = format!("{}::header", guest.name);
                trials.push(Trial::test(name, move || Err(Failed::from(faults.to_string()))));
            }
        }
    }
    let arguments = Arguments {
        filter: filter.map(str::to_owned),
        test_threads: Some(THREADS),
        ..Arguments::default()
    };
    !libtest_mimic::run(&arguments, trials).has_failed()
}

/// Why no guest can be run on KVM with this monovisor; none if the guest `image` runs there.
pub fn kvm_is_missing(program: &Path, image: &Path) -> anyhow::Result<Option<String>> {
    let machine = Machine::Kvm(program.to_owned());
    let finished = machine.invocation(image, &Header::default(), None, None).run(HARD_LIMIT)?;
    Ok(expect::kvm_refusal(&finished).map(str::to_owned))
}

/// The test of one guest on one machine. What does not run there is told with its reason, and counted
/// apart.
fn trial(
    guest: &Guest,
    header: &Header,
    image: &Path,
    (label, machine): &(&'static str, Machine),
    machines: &[(&'static str, Machine)],
) -> Trial {
    let mut reference = None;
    let name = format!("{}::{label}", guest.name);
    let skipped = |reason: &str| {
        let reason = reason.to_owned();
        Trial::ignorable_test(name.clone(), || Ok(Completion::ignored_with(reason)))
    };
    if *machine == Machine::Qemu {
        match &header.qemu {
            Qemu::Same => reference = machines.first().map(|(_, machine)| machine.clone()),
            Qemu::Differs(reason) => eprintln!("xtask: {} differs on QEMU: {reason}", guest.name),
            Qemu::Skip(reason) => return skipped(reason),
        }
    }
    if let (Machine::Kvm(_), Some(reason)) = (machine, &header.kvm_skip) {
        return skipped(reason);
    }
    let mut header = header.clone();
    if flag_value(&header.flags, "--timeout").is_none() {
        header.flags.push(REPORTED_LIMIT.to_owned());
    }
    let case = Case { image: image.to_owned(), header, machine: machine.clone(), reference };
    Trial::ignorable_test(name, move || case.run())
}

impl Case {
    fn run(&self) -> Result<Completion, Failed> {
        let (invocation, finished) = self.run_on(&self.machine)?;
        let mut complaints = match (&self.machine, &self.header.qemu) {
            (Machine::Kvm(_), _) => {
                if let Some(reason) = expect::kvm_refusal(&finished) {
                    return Ok(Completion::ignored_with(reason));
                }
                expect::on_monovisor(&self.header, &finished)
            }
            (Machine::Monovisor(_), _) => expect::on_monovisor(&self.header, &finished),
            (_, Qemu::Same) => expect::on_qemu(&self.header, &finished),
            // Not compared; that it ran to some end within the limit is all that is asked.
            (_, Qemu::Differs(_) | Qemu::Skip(_)) => Vec::new(),
        };
        if let Some(reference) = &self.reference {
            let (_, ours) = self.run_on(reference)?;
            complaints.extend(expect::same_output(&ours, &finished));
        }
        if complaints.is_empty() {
            return Ok(Completion::Completed);
        }
        // A guest's own assertion speaks there.
        complaints.push(expect::tail("standard output ended with", &finished.stdout));
        complaints.push(expect::tail("standard error ended with", &finished.stderr));
        complaints.push(format!(
            "took {:.3} s; again with:\n  {invocation}",
            finished.wall.as_secs_f64()
        ));
        Err(Failed::from(complaints.join("\n")))
    }

    fn run_on(&self, machine: &Machine) -> Result<(Invocation, Finished), Failed> {
        let folder = self.image.parent().unwrap_or(Path::new("."));
        let disk = self.header.disk.map(|disk| ScratchDisk::new(disk, folder)).transpose()?;
        let kvm_append = match machine {
            Machine::Kvm(_) => self.header.kvm_append.as_deref(),
            _ => None,
        };
        let append = kvm_append.or(self.header.append.as_deref());
        let invocation = machine.invocation(&self.image, &self.header, append, disk.as_ref());
        let limit = match (machine, self.header.outcome) {
            (Machine::Monovisor(_) | Machine::Kvm(_), _)
            | (_, Outcome::Exit(_) | Outcome::TripleFault) => HARD_LIMIT,
            // QEMU has no limit of its own: being killed here is the expected end.
            (_, Outcome::Timeout(limit)) => limit + FIRMWARE,
        };
        let finished = invocation.run(limit).map_err(|error| Failed::from(format!("{error:#}")))?;
        Ok((invocation, finished))
    }
}
