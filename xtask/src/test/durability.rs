//! What a guest has flushed survives `kill -9` of monovisor: the guest tells of each flush, is killed
//! at no particular moment, and what it told of must be in the image.

use std::io::{BufRead, BufReader};
use std::path::Path;

use libtest_mimic::{Failed, Trial};

use super::guests::REPORTED_LIMIT;
use crate::guest::header::Header;
use crate::machine::{Machine, ScratchDisk};

const GUEST: &str = "disk_flush";
const SECTOR_BYTES: usize = 512;
/// Machines that are killed, the n-th after n more than so many flushes.
const KILLS: usize = 20;
const FLUSHES: usize = 3;

/// The test on `machine`.
pub fn trial(images: &Path, header: &Header, label: &str, machine: &Machine) -> Trial {
    let (image, mut header, machine) = (images.join(GUEST), header.clone(), machine.clone());
    // One that tells of nothing must not be waited for.
    header.flags.push(REPORTED_LIMIT.to_owned());
    Trial::test(format!("{GUEST}::killed::{label}"), move || {
        (0..KILLS).try_for_each(|kill| check(&image, &header, &machine, FLUSHES + kill))
    })
}

/// Whether a guest's file is the one that is killed.
pub fn is_for(name: &str) -> bool {
    name == GUEST
}

fn check(image: &Path, header: &Header, machine: &Machine, flushes: usize) -> Result<(), Failed> {
    let folder = image.parent().unwrap_or(Path::new("."));
    let size = header.disk.ok_or("the guest has no disk")?;
    let disk = ScratchDisk::new(size, folder)?;
    let rounds = "rounds=1000000000";
    let mut child = machine.invocation(image, header, Some(rounds), Some(&disk)).start()?;
    let output = child.stdout.take().ok_or("the output is piped")?;
    let lines = BufReader::new(output).lines().map_while(Result::ok);
    let mut told = lines.filter_map(|line| line.strip_prefix("flushed ")?.parse::<u64>().ok());
    let seen = told.by_ref().take(flushes).last();
    child.kill()?;
    // What was on its way when it was killed was told, too.
    let last = told.last().or(seen);
    child.wait()?;
    let last = last.ok_or("the guest told of no flush")?;
    let sectors = size.bytes / SECTOR_BYTES as u64;
    let bytes = std::fs::read(disk.path())?;
    for round in last.saturating_sub(sectors - 1).max(1)..=last {
        let start = (round % sectors) as usize * SECTOR_BYTES;
        let found = u64::from_le_bytes(bytes[start..start + 8].try_into()?);
        // A later round may have come by since.
        if found < round || found % sectors != round % sectors {
            return Err(format!(
                "round {round} of {last} was flushed, and its sector holds {found}"
            )
            .into());
        }
    }
    Ok(())
}
