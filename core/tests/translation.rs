//! INVLPG, INVPCID, RDPKRU, WRPKRU.

mod common;

use common::guest::{CODE, DATA, End, Guest, PAGES, WRITABLE};
use monovisor_core::state::{Cr4Flags, Exception, Register, Vector};

const GP0: End = End::Fault(Exception::GP0);
const UD: End = End::Fault(Exception::UD);
/// The page-table entry of [`PAGES`].
const ENTRY: u64 = 0x4000;
/// INVPCID's descriptor, in a page that shares no TLB entry with the others.
const DESCRIPTOR: u64 = DATA + 0x3000;
/// What the page has before and after its entry changes.
const OLD: u64 = 0x1111;
const NEW: u64 = 0x2222;

/// Reads the page at RSI, maps another one there through RDI, executes `code` and reads anew into R8.
fn remapped(guest: &mut Guest, flags: u64, code: &[u8]) -> Result<u64, End> {
    let (old, new) = (PAGES + 0x1000, PAGES + 0x2000);
    guest.ram.write(old, &OLD.to_le_bytes());
    guest.ram.write(new, &NEW.to_le_bytes());
    guest.map_to(PAGES, old, flags);
    guest.state.rip = CODE;
    guest.set(Register::Rsi, PAGES);
    guest.set(Register::Rdi, ENTRY);
    guest.set(Register::Rbx, new | flags);
    guest.set(Register::R9, DESCRIPTOR);
    // mov rcx, [rsi]; mov [rdi], rbx; …; mov r8, [rsi]
    let code = [&[0x48, 0x8b, 0x0e, 0x48, 0x89, 0x1f], code, &[0x4c, 0x8b, 0x06]].concat();
    match guest.run(&code) {
        End::Done => Ok(guest.get(Register::R8)),
        end => Err(end),
    }
}

/// INVPCID RAX, [R9].
const INVPCID: [u8; 6] = [0x66, 0x49, 0x0f, 0x38, 0x82, 0x01];
const GLOBAL: u64 = 1 << 8;

/// SDM, INVPCID: (type, identifier, address, CR4.PCIDE, entry's flags, what is read behind it).
#[test]
fn invpcid() {
    let rows = [
        (0, 0_u64, PAGES, false, 0, Ok(NEW)),
        (0, 0, PAGES, false, GLOBAL, Ok(NEW)),
        (0, 0, PAGES + 0x1000, false, 0, Ok(OLD)),
        (0, 5, PAGES, true, 0, Ok(NEW)),
        (0, 6, PAGES, true, 0, Ok(OLD)),
        (1, 0, 0, false, 0, Ok(NEW)),
        (1, 0, 0, false, GLOBAL, Ok(OLD)),
        (1, 5, 1 << 63, true, 0, Ok(NEW)),
        (1, 0, 0, true, 0, Ok(OLD)),
        (2, 0, 1 << 63, false, GLOBAL, Ok(NEW)),
        (2, 9, 0, false, 0, Ok(NEW)),
        (2, 9, 0, true, GLOBAL, Ok(NEW)),
        (3, 9, 0, true, 0, Ok(NEW)),
        (3, 0, 0, false, GLOBAL, Ok(OLD)),
        // Faults.
        (4, 0, 0, true, 0, Err(GP0)),
        (1 << 32, 0, 0, true, 0, Err(GP0)),
        (0, 1, PAGES, false, 0, Err(GP0)),
        (1, 1, 0, false, 0, Err(GP0)),
        (0, 5, 1 << 63, true, 0, Err(GP0)),
        (0, 1 << 12, PAGES, true, 0, Err(GP0)),
        (1, 1 << 63, PAGES, true, 0, Err(GP0)),
        (2, 1 << 12, PAGES, true, 0, Err(GP0)),
        (3, 1 << 40, PAGES, true, 0, Err(GP0)),
    ];
    for row in rows {
        let (kind, identifier, address, identified, flags, expected) = row;
        let mut guest = Guest::long_mode();
        guest.state.control.cr4 |= Cr4Flags::PAGE_GLOBAL;
        if identified {
            guest.state.control.cr4 |= Cr4Flags::PCID;
            guest.state.control.cr3 |= 5;
        }
        guest.set(Register::Rax, kind);
        guest.ram.write(DESCRIPTOR, &identifier.to_le_bytes());
        guest.ram.write(DESCRIPTOR + 8, &address.to_le_bytes());
        assert_eq!(remapped(&mut guest, WRITABLE | flags, &INVPCID), expected, "{row:x?}");
    }
}

#[test]
fn invpcid_is_for_privilege_level_0_and_reads_its_operand() {
    let mut guest = Guest::user_mode();
    guest.set(Register::Rax, u64::MAX);
    guest.set(Register::R9, 1 << 40);
    assert_eq!(guest.run(&INVPCID), GP0);
    let mut guest = Guest::long_mode();
    guest.set(Register::R9, 1 << 40);
    let End::Fault(fault) = guest.run(&INVPCID) else { panic!("there is no page") };
    assert_eq!((fault.vector, fault.payload), (Vector::PageFault, 1 << 40));
    // In protected mode its type is 32 bits wide, and EDX:EDI is not read. invpcid eax, [ebx]
    let mut guest = Guest::protected();
    guest.set(Register::Rax, 2);
    guest.set(Register::Rbx, DATA);
    assert_eq!(guest.run(&[0x66, 0x0f, 0x38, 0x82, 0x03]), End::Done);
    // A register is no descriptor.
    assert_eq!(Guest::long_mode().run(&[0x66, 0x0f, 0x38, 0x82, 0xc3]), UD);
}

#[test]
fn moves_to_cr3_keep_global_pages_and_none_else() {
    // mov rax, cr3; bts rax, 63; mov cr3, rax
    let code = [0x0f, 0x20, 0xd8, 0x48, 0x0f, 0xba, 0xe8, 63, 0x0f, 0x22, 0xd8];
    for (flags, expected) in [(0, NEW), (GLOBAL, OLD)] {
        let mut guest = Guest::long_mode();
        guest.state.control.cr4 |= Cr4Flags::PAGE_GLOBAL | Cr4Flags::PCID;
        assert_eq!(remapped(&mut guest, WRITABLE | flags, &code), Ok(expected));
        assert_eq!(guest.state.control.cr3, 0x1000, "bit 63 is not kept");
    }
    let mut guest = Guest::long_mode();
    assert_eq!(
        remapped(&mut guest, WRITABLE, &code),
        Err(GP0),
        "without identifiers it is reserved"
    );
}

const RDPKRU: [u8; 3] = [0x0f, 0x01, 0xee];
const WRPKRU: [u8; 3] = [0x0f, 0x01, 0xef];

/// (CR4.PKE, RCX, RDX, end of RDPKRU, end of WRPKRU)
#[test]
fn operands_of_the_key_register() {
    let rows = [
        (false, 0, 0, UD, UD),
        (true, 0, 0, End::Done, End::Done),
        (true, 1 << 32, 1 << 32, End::Done, End::Done),
        (true, 1, 0, GP0, GP0),
        (true, 0, 1, End::Done, GP0),
    ];
    for (enabled, rcx, rdx, read, written) in rows {
        for mut guest in [Guest::long_mode(), Guest::user_mode()] {
            guest.state.control.cr4.set(Cr4Flags::PROTECTION_KEY_USER, enabled);
            guest.state.control.pkru = 0x1234_5678;
            for (register, value) in [(Register::Rcx, rcx), (Register::Rdx, rdx)] {
                guest.set(register, value);
            }
            guest.set(Register::Rax, u64::MAX);
            assert_eq!(guest.run(&RDPKRU), read);
            if read == End::Done {
                assert_eq!((guest.get(Register::Rax), guest.get(Register::Rdx)), (0x1234_5678, 0));
            }
            guest.state.rip = CODE;
            guest.set(Register::Rdx, rdx);
            guest.set(Register::Rax, 0xffff_ffff_0000_0004);
            assert_eq!(guest.run(&WRPKRU), written);
            let expected = if written == End::Done { 4 } else { 0x1234_5678 };
            assert_eq!(guest.state.control.pkru, expected);
        }
    }
}

/// The next instruction is the first that a new value concerns, and a loop has no old translation.
#[test]
fn keys_take_effect_at_once() {
    const KEY_2: u64 = 2 << 59;
    let mut guest = Guest::user_mode();
    guest.state.control.cr4 |= Cr4Flags::PROTECTION_KEY_USER;
    guest.map(PAGES, WRITABLE | KEY_2);
    guest.set(Register::Rsi, PAGES);
    guest.set(Register::Rax, 1 << 4);
    guest.set(Register::Rdx, 0);
    // mov rbx, [rsi]; wrpkru; mov rbx, [rsi]
    let code = [&[0x48, 0x8b, 0x1e][..], &WRPKRU, &[0x48, 0x8b, 0x1e]].concat();
    let denied = End::Fault(Exception::page_fault(PAGES, 0x25));
    assert_eq!(guest.run(&code), denied);
    assert_eq!(guest.state.rip, CODE + 6);
    // Writes alone; then nothing.
    guest.state.rip = CODE;
    guest.state.control.pkru = 0;
    guest.set(Register::Rax, 2 << 4);
    assert_eq!(guest.run(&code), End::Done);
    let store = [&WRPKRU[..], &[0x48, 0x89, 0x1e]].concat();
    guest.state.rip = CODE;
    assert_eq!(guest.run(&store), End::Fault(Exception::page_fault(PAGES, 0x27)));
    guest.state.rip = CODE;
    guest.set(Register::Rax, 0);
    assert_eq!(guest.run(&store), End::Done);
}

/// 57-bit addresses in code: branches, calls and returns beyond what 4-level paging can name.
#[test]
fn branches_under_5_level_paging() {
    const FAR: u64 = 1 << 48;
    let mut guest = Guest::long_mode();
    // A top structure whose first two entries lead to the same tables.
    for entry in 0..2_u64 {
        guest.ram.write(0x5000 + entry * 8, &(0x1000 | WRITABLE).to_le_bytes());
    }
    guest.state.control.cr3 = 0x5000;
    guest.state.control.cr4 |= Cr4Flags::L5_PAGING;
    // call rax; at the target: add ebx, 1; ret
    guest.ram.write(DATA, &[0x83, 0xc3, 0x01, 0xc3]);
    guest.set(Register::Rbx, 0);
    guest.set(Register::Rax, FAR + DATA);
    assert_eq!(guest.run(&[0xff, 0xd0]), End::Done);
    assert_eq!(guest.get(Register::Rbx), 1);
    guest.state.rip = CODE;
    guest.set(Register::Rax, 1 << 56);
    assert_eq!(guest.run(&[0xff, 0xd0]), GP0);
    // The same code under 4-level paging.
    guest.state.control.cr3 = 0x1000;
    guest.state.control.cr4.remove(Cr4Flags::L5_PAGING);
    guest.set(Register::Rax, FAR + DATA);
    guest.state.rip = CODE;
    assert_eq!(guest.run(&[0xff, 0xd0]), GP0);
}
