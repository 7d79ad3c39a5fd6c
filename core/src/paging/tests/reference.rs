//! Random paging structures and accesses, against a second walker that was written from the manual
//! alone: slowly, without any cache, on a copy of memory.

use super::*;
use AccessKind::{Execute, Read, Write};
use proptest::prelude::*;
use std::vec::Vec;

/// Pages of paging structures, then pages of data.
const TABLES: u64 = 6;
const PAGES: u64 = 16;

#[derive(Debug, PartialEq)]
enum Refused {
    NonCanonical,
    PageFault { address: u64, code: u32 },
}

/// What the manual says, on a copy of guest memory.
struct Manual<'a> {
    state: &'a CpuState,
    memory: &'a mut Vec<u8>,
}

impl Manual<'_> {
    fn cr4(&self, flag: Cr4Flags) -> bool {
        self.state.control.cr4.contains(flag)
    }

    fn entry(&self, address: u64, size: usize) -> u64 {
        let mut bytes = [0; 8];
        for (offset, byte) in bytes.iter_mut().enumerate().take(size) {
            *byte = self.memory.get(address as usize + offset).copied().unwrap_or(0xff);
        }
        u64::from_le_bytes(bytes)
    }

    /// The physical address of one byte, and the entries on the way to it: address, size and the
    /// flags that the access sets.
    fn translate(&self, linear: u64, kind: AccessKind) -> Result<(u64, Vec<(u64, u64)>), Refused> {
        let control = &self.state.control;
        let nxe = control.efer.contains(EferFlags::NO_EXECUTE_ENABLE);
        let long = control.efer.contains(EferFlags::LONG_MODE_ACTIVE);
        let pae = self.cr4(Cr4Flags::PHYSICAL_ADDRESS_EXTENSION);
        let la57 = self.cr4(Cr4Flags::L5_PAGING);
        let user = self.state.cpl() == 3;
        let smep = self.cr4(Cr4Flags::SUPERVISOR_MODE_EXECUTION_PROTECTION);
        let smap = self.cr4(Cr4Flags::SUPERVISOR_MODE_ACCESS_PREVENTION);
        let fault = |cause: u32| Refused::PageFault {
            address: linear,
            code: cause
                | if kind == Write { 2 } else { 0 }
                | if user { 4 } else { 0 }
                | if kind == Execute && (smep || pae && nxe) { 0x10 } else { 0 },
        };
        // Levels from the top: lowest bit of the index, its width.
        let levels: &[(u32, u32)] = match (long, pae) {
            (true, _) if la57 => &[(48, 9), (39, 9), (30, 9), (21, 9), (12, 9)],
            (true, _) => &[(39, 9), (30, 9), (21, 9), (12, 9)],
            (false, true) => &[(30, 2), (21, 9), (12, 9)],
            (false, false) => &[(22, 10), (12, 10)],
        };
        let size = if pae { 8 } else { 4 };
        let mut table = match (long, pae) {
            (true, _) => control.cr3 & 0x3fff_ffff_f000,
            (false, true) => control.cr3 & 0xffff_ffe0,
            (false, false) => control.cr3 & 0xffff_f000,
        };
        let (mut writable, mut user_page, mut no_execute) = (true, true, false);
        let mut marks = Vec::new();
        for &(shift, width) in levels {
            let address = table + ((linear >> shift) & ((1 << width) - 1)) * size;
            let entry = self.entry(address, size as usize);
            let bit = |bit: u32| entry >> bit & 1 != 0;
            if !bit(0) {
                return Err(fault(0));
            }
            let pdpte = !long && pae && shift == 30;
            let large = bit(7)
                && match shift {
                    48 | 39 | 12 => false,
                    30 => long,
                    21 => true,
                    _ => self.cr4(Cr4Flags::PAGE_SIZE_EXTENSION),
                };
            let mut reserved = Vec::new();
            if pae {
                reserved.extend(46..52);
                if !long {
                    reserved.extend(52..63);
                }
                if !nxe || pdpte {
                    reserved.push(63);
                }
            }
            match (shift, large) {
                _ if pdpte => reserved.extend([1, 2, 5, 6, 7, 8]),
                (48 | 39, _) => reserved.push(7),
                (30, true) => reserved.extend(13..30),
                (21, true) => reserved.extend(13..21),
                (22, true) => reserved.push(21),
                _ => {}
            }
            if reserved.into_iter().any(bit) {
                return Err(fault(9));
            }
            if !pdpte {
                writable &= bit(1);
                user_page &= bit(2);
                no_execute |= bit(63);
                marks.push((address, 1 << 5));
            }
            if large || shift == 12 {
                let permitted = if user {
                    user_page
                        && match kind {
                            Read => true,
                            Write => writable,
                            Execute => !no_execute,
                        }
                } else {
                    let prevented =
                        smap && user_page && !self.state.rflags.contains(RFlags::ALIGNMENT_CHECK);
                    match kind {
                        Read => !prevented,
                        Write => {
                            let protect = control.cr0.contains(Cr0Flags::WRITE_PROTECT);
                            !prevented && (writable || !protect)
                        }
                        Execute => !(no_execute || smep && user_page),
                    }
                };
                let by_key = long && self.denied_by_key(entry >> 59 & 15, user, user_page, kind);
                if !permitted || by_key {
                    return Err(fault(1 | if by_key { 0x20 } else { 0 }));
                }
                if kind == Write {
                    marks.push((address, 1 << 6));
                }
                let offset_mask = (1 << shift) - 1;
                let base = if shift == 22 {
                    entry & 0xffc0_0000 | (entry >> 13 & 0xff) << 32
                } else {
                    entry & 0x3fff_ffff_f000
                };
                return Ok((base & !offset_mask | linear & offset_mask, marks));
            }
            table = entry & 0x3fff_ffff_f000;
        }
        unreachable!("the last level maps a page")
    }

    /// Whether PKRU or IA32_PKRS denies the access.
    fn denied_by_key(&self, key: u64, user: bool, user_page: bool, kind: AccessKind) -> bool {
        let control = &self.state.control;
        let register = match (user, user_page) {
            (_, true) if self.cr4(Cr4Flags::PROTECTION_KEY_USER) => control.pkru,
            (false, false) if self.cr4(Cr4Flags::PROTECTION_KEY_SUPERVISOR) => control.pkrs,
            _ => return false,
        };
        let (access_disable, write_disable) =
            (register >> (2 * key) & 1 != 0, register >> (2 * key + 1) & 1 != 0);
        let write_protect = control.cr0.contains(Cr0Flags::WRITE_PROTECT);
        match kind {
            Read => access_disable,
            Write => access_disable || write_disable && (user || write_protect),
            Execute => false,
        }
    }

    /// Checks all bytes, then sets flags and gives their physical addresses.
    fn access(&mut self, linear: u64, bytes: u64, kind: AccessKind) -> Result<Vec<u64>, Refused> {
        let long = self.state.long_mode();
        // All of the access must be canonical, before any of it is looked up.
        let highest = if self.cr4(Cr4Flags::L5_PAGING) { 56 } else { 47 };
        let canonical = |byte: u64| byte >> highest == 0 || byte as i64 >> highest == -1;
        if long && !(canonical(linear) && canonical(linear.wrapping_add(bytes - 1))) {
            return Err(Refused::NonCanonical);
        }
        let mut addresses = Vec::new();
        let mut all_marks = Vec::new();
        for offset in 0..bytes {
            let byte = linear.wrapping_add(offset);
            let byte = if long { byte } else { byte & 0xffff_ffff };
            let (physical, marks) = self.translate(byte, kind)?;
            addresses.push(physical);
            all_marks.extend(marks);
        }
        for (address, flags) in all_marks {
            if let Some(byte) = self.memory.get_mut(address as usize) {
                *byte |= flags as u8;
            }
        }
        Ok(addresses)
    }
}

fn entry() -> impl Strategy<Value = u64> {
    let flags = (0u64..64).prop_map(|bits| {
        // Mostly present, writable and for users, or nothing would ever be permitted.
        let mut flags = P | W | U;
        flags ^= if bits & 7 == 0 { W } else { 0 };
        flags ^= if bits >> 3 & 7 == 0 { U } else { 0 };
        flags
    });
    let rare = prop_oneof![
        30 => Just(0),
        2 => Just(P), // toggles
        5 => Just(PS),
        5 => Just(A),
        5 => Just(A | D),
        3 => Just(G),
        3 => Just(NX),
        8 => (0u64..16).prop_map(|key| key << 59),
        3 => (0u32..64).prop_map(|bit| 1 << bit),
    ];
    (flags, rare, 0..PAGES + 1, 0u64..10).prop_map(|(flags, rare, page, high)| {
        (flags ^ rare) | page << 12 | if high == 0 { 1 << 32 } else { 0 }
    })
}

#[derive(Debug, Clone)]
struct Machine {
    entries: Vec<u64>,
    mode: u8,
    control: u16,
    top: u64,
}

fn machine() -> impl Strategy<Value = Machine> {
    (prop::collection::vec(entry(), 24), 0u8..6, any::<u16>(), 0..TABLES)
        .prop_map(|(entries, mode, control, top)| Machine { entries, mode, control, top })
}

#[derive(Debug, Clone, Copy)]
struct Operation {
    linear: u64,
    cpl3: bool,
    ac: bool,
    kind: AccessKind,
    size_log: u32,
    /// PKRU and IA32_PKRS change before it.
    keys: Option<(u32, u32)>,
}

fn operation() -> impl Strategy<Value = Operation> {
    let index = || prop_oneof![Just(0u64), Just(1), Just(255), Just(511)];
    let offset = prop_oneof![Just(0u64), Just(0xff8), Just(0xffb), Just(0xfff), 0u64..0x1000];
    let kind = prop_oneof![Just(Read), Just(Write), Just(Execute)];
    let linear = (index(), index(), index(), index(), index(), offset, 0u8..20).prop_map(
        |(top, a, b, c, d, offset, spoil)| {
            let low = top << 48 | a << 39 | b << 30 | c << 21 | d << 12 | offset;
            let canonical = ((low << 7) as i64 >> 7) as u64;
            if spoil == 0 { canonical ^ 1 << 60 } else { canonical }
        },
    );
    let keys = prop::option::weighted(0.2, (any::<u32>(), any::<u32>()));
    (linear, any::<bool>(), any::<bool>(), kind, 0u32..4, keys).prop_map(
        |(linear, cpl3, ac, kind, size_log, keys)| Operation {
            linear,
            cpl3,
            ac,
            kind,
            size_log,
            keys,
        },
    )
}

fn build(machine: &Machine) -> Guest {
    let mut guest = Guest::with_memory((PAGES as usize) << 12, u64::MAX);
    for slot in 0..TABLES * 512 {
        let choice = (slot.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as usize;
        let mut entry = machine.entries[choice % machine.entries.len()];
        // Tables mostly name tables, so that walks get somewhere.
        if slot / 512 < 4 && choice & 0x300 != 0 {
            entry = entry & !(0xf << 12) | (slot / 512 + 1) << 12;
        }
        if machine.mode & 1 != 0 && slot % 3 != 0 {
            entry &= !(1 << 32);
        }
        guest.poke(slot * 8, entry);
    }
    for page in TABLES..PAGES {
        for word in 0..512u64 {
            guest.poke(
                (page << 12) | (word * 8),
                (page << 56) | word.wrapping_mul(0x0101_0101_0101),
            );
        }
    }
    let bit = |bit: u32| machine.control >> bit & 1 != 0;
    let control = &mut guest.state.control;
    control.cr3 = machine.top << 12 | if bit(7) && machine.mode == 1 { 0x20 } else { 0 };
    control.cr0.set(Cr0Flags::WRITE_PROTECT, bit(0));
    control.efer.set(EferFlags::NO_EXECUTE_ENABLE, bit(1));
    control.cr4.set(Cr4Flags::SUPERVISOR_MODE_EXECUTION_PROTECTION, bit(2));
    control.cr4.set(Cr4Flags::SUPERVISOR_MODE_ACCESS_PREVENTION, bit(3));
    control.cr4.set(Cr4Flags::PAGE_SIZE_EXTENSION, bit(4));
    control.cr4.set(Cr4Flags::PAGE_GLOBAL, bit(5));
    control.cr4.set(Cr4Flags::PROTECTION_KEY_USER, bit(8));
    control.cr4.set(Cr4Flags::PROTECTION_KEY_SUPERVISOR, bit(9));
    control.cr4.set(Cr4Flags::L5_PAGING, machine.mode > 3);
    if machine.mode < 2 {
        control.efer.remove(EferFlags::LONG_MODE_ACTIVE);
        control.cr4.set(Cr4Flags::PHYSICAL_ADDRESS_EXTENSION, machine.mode == 1);
    }
    guest.sync();
    guest
}

/// An access by the manual: the bytes read (or the old ones), or why not; `None` if a device is
/// touched.
fn by_manual(
    state: &CpuState,
    memory: &mut Vec<u8>,
    operation: Operation,
    value: Option<u64>,
) -> Option<Result<u64, Refused>> {
    let bytes = 1 << operation.size_log;
    let mut manual = Manual { state, memory };
    let addresses = match manual.access(operation.linear, bytes, operation.kind) {
        Ok(addresses) => addresses,
        Err(refused) => return Some(Err(refused)),
    };
    if addresses.iter().any(|&address| address >= memory.len() as u64) {
        return None;
    }
    let mut read = [0; 8];
    for (index, &address) in addresses.iter().enumerate() {
        read[index] = memory[address as usize];
        if let Some(value) = value {
            memory[address as usize] = value.to_le_bytes()[index];
        }
    }
    Some(Ok(u64::from_le_bytes(read)))
}

fn refused(error: AccessError) -> Option<Refused> {
    match error {
        AccessError::NonCanonical => Some(Refused::NonCanonical),
        AccessError::Exception(exception) => Some(Refused::PageFault {
            address: exception.payload,
            code: exception.error_code.expect("a page fault"),
        }),
        AccessError::Device(_) | AccessError::Split => None,
    }
}

fn prepare(guest: &mut Guest, operation: &mut Operation) {
    guest.set_cpl(if operation.cpl3 { 3 } else { 0 });
    guest.set_ac(operation.ac);
    if let Some((pkru, pkrs)) = operation.keys {
        (guest.state.control.pkru, guest.state.control.pkrs) = (pkru, pkrs);
        guest.sync();
    }
    if !guest.state.long_mode() {
        operation.linear &= 0xffff_ffff;
    } else if !guest.state.control.cr4.contains(Cr4Flags::L5_PAGING) {
        // What is spoilt for 57 bits is so for 48.
        let spoilt = (operation.linear >> 60 ^ operation.linear >> 63) & 1;
        operation.linear = ((operation.linear << 16) as i64 >> 16) as u64 ^ spoilt << 60;
    }
}

/// A page fault within the low byte of a crossing access is named by the access's first byte, so
/// the manual's first refused byte and ours agree without further ado.
fn read_sized(guest: &mut Guest, linear: u64, size_log: u32) -> Result<u64, AccessError> {
    match size_log {
        0 => guest.read::<u8>(linear).map(Width::extend),
        1 => guest.read::<u16>(linear).map(Width::extend),
        2 => guest.read::<u32>(linear).map(Width::extend),
        _ => guest.read::<u64>(linear),
    }
}

fn write_sized(
    guest: &mut Guest,
    linear: u64,
    size_log: u32,
    value: u64,
) -> Result<(), AccessError> {
    match size_log {
        0 => guest.write(linear, value as u8),
        1 => guest.write(linear, value as u16),
        2 => guest.write(linear, value as u32),
        _ => guest.write(linear, value),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// Reads, writes and fetches, each from an empty TLB: values, faults, and all of memory after.
    #[test]
    fn accesses_agree(
        machine in machine(),
        operations in prop::collection::vec((operation(), any::<u64>()), 1..24),
    ) {
        let mut guest = build(&machine);
        let mut memory = guest.dump();
        for (mut operation, value) in operations {
            prepare(&mut guest, &mut operation);
            guest.mmu.flush_all();
            guest.adopt_pointers();
            let Operation { linear, kind, size_log, .. } = operation;
            let written = (kind == Write).then_some(value);
            if kind == Execute {
                operation.size_log = 0;
            }
            let expected = by_manual(&guest.state, &mut memory, operation, written);
            let actual = match kind {
                Read => read_sized(&mut guest, linear, size_log),
                Write => write_sized(&mut guest, linear, size_log, value).map(|()| 0),
                Execute => guest.mmu.fetch(&guest.state, linear).map(|page| {
                    let offset = (linear & 0xfff) as usize;
                    // SAFETY: a byte within a page of RAM.
                    page.bytes.map_or(0, |bytes| unsafe { u8::load(bytes.as_ptr().add(offset)) }.into())
                }),
            };
            match (actual, expected) {
                (Ok(actual), Some(Ok(expected))) => {
                    prop_assert!(kind == Write || actual == expected, "{:x?}", operation);
                }
                (Err(error), Some(Err(expected))) => {
                    prop_assert_eq!(refused(error), Some(expected), "{:x?}", operation);
                }
                (Err(AccessError::Device(_)), None) => {}
                (Ok(_), None) if kind != Read => {
                    // A crossing write can be half to a device: the copy lacks the RAM half.
                    memory = guest.dump();
                }
                (actual, expected) => {
                    prop_assert!(false, "{:x?}: {:x?}, not {:x?}", operation, actual, expected);
                }
            }
            guest.mmu.devices.retire();
            prop_assert!(guest.dump() == memory, "memory differs after {:x?}", operation);
        }
    }

    /// Probes without any flush in between: what the TLBs and the structure cache remember across
    /// privilege levels gives the same faults and the same flags.
    #[test]
    fn caches_cannot_be_seen(
        machine in machine(),
        operations in prop::collection::vec(operation(), 1..64),
    ) {
        let mut guest = build(&machine);
        let mut memory = guest.dump();
        let top = (guest.state.control.cr3 & 0xffff_ffe0) as usize;
        let pointers = |memory: &[u8]| memory.get(top..top + 32).map(<[u8]>::to_vec);
        let mut adopted = pointers(&memory);
        guest.adopt_pointers();
        for mut operation in operations {
            operation.size_log = 0;
            prepare(&mut guest, &mut operation);
            // Tables may map themselves, and an accessed flag in what is also a page-directory
            // pointer is a reserved bit there; software loads CR3 for that to be seen.
            if !guest.state.long_mode() && pointers(&memory) != adopted {
                adopted = pointers(&memory);
                guest.adopt_pointers();
                guest.mmu.flush_all();
            }
            let expected = by_manual(&guest.state, &mut memory, operation, None);
            let actual = guest.access(operation.linear, operation.kind);
            match (actual, expected) {
                (Ok(()), Some(Ok(_)) | None) => {}
                (Err(error), Some(Err(expected))) => {
                    prop_assert_eq!(refused(error), Some(expected), "{:x?}", operation);
                }
                (actual, expected) => {
                    prop_assert!(false, "{:x?}: {:x?}, not {:x?}", operation, actual, expected);
                }
            }
            prop_assert!(guest.dump() == memory, "memory differs after {:x?}", operation);
        }
    }
}
