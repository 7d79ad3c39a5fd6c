//! A second opinion on what the manuals say: guests on Bochs, which is written for the same manuals by
//! others. It takes part where a guest's file asks it to: of guests that walk through the processor's
//! modes, a checksum tells whether all that they have found is the same.

use std::path::Path;
use std::time::Duration;

use libtest_mimic::{Arguments, Failed, Trial};

use super::expect;
use crate::bochs::Bochs;
use crate::guest::Guest;
use crate::guest::header::{Bochs as Expected, Header};

/// After this a guest is killed: Bochs is a tenth as fast as the slowest of others.
const HARD_LIMIT: Duration = Duration::from_secs(300);
const MEMORY_MIB: u32 = 128;

/// Runs the guests that ask for it and whose test name contains `filter`; `true` if none failed.
pub fn run(guests: &[Guest], images: &Path, filter: Option<&str>) -> bool {
    match Bochs::find() {
        Ok(bochs) => eprintln!("xtask: comparing with {}", bochs.version),
        Err(missing) => {
            eprintln!("xtask: guests are not run on Bochs: {missing:#}");
            return true;
        }
    }
    let asked = guests.iter().filter_map(|guest| {
        let header = guest.header.as_ref().ok()?;
        match &header.bochs {
            Expected::Same => {}
            Expected::NotAsked => return None,
            Expected::Differs(reason) => {
                eprintln!("xtask: {} differs on Bochs: {reason}", guest.name);
                return None;
            }
        }
        let (image, header) = (images.join(&guest.name), header.clone());
        Some(Trial::test(format!("{}::bochs", guest.name), move || check(&image, &header)))
    });
    let arguments = Arguments {
        filter: filter.map(str::to_owned),
        test_threads: Some(1),
        ..Arguments::default()
    };
    !libtest_mimic::run(&arguments, asked.collect()).has_failed()
}

fn check(image: &Path, header: &Header) -> Result<(), Failed> {
    let told = |error: anyhow::Error| Failed::from(format!("{error:#}"));
    let append = header.append.as_deref().unwrap_or_default();
    let bochs = Bochs::find().map_err(told)?;
    let command = bochs.command(image, header.cpus, MEMORY_MIB, append).map_err(told)?;
    let finished = command.run(HARD_LIMIT).map_err(told)?;
    let mut complaints = expect::on_bochs(header, &finished);
    if complaints.is_empty() {
        return Ok(());
    }
    complaints.push(expect::tail("standard output ended with", &finished.stdout));
    Err(Failed::from(complaints.join("\n")))
}
