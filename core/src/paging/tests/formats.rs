//! Entry formats of every paging mode and page size: addresses and reserved bits.

use super::*;
use AccessKind::{Execute, Read};

#[test]
fn large_pages_of_4_level_paging() {
    let mut guest = Guest::new();
    guest.poke(0x3_5678, 0x1234);
    guest.poke(PD + 8, P | W | PS | 1 << 12); // PAT
    assert_eq!(guest.read(0x23_5678), Ok(0x1234u16));
    guest.poke(PDPT + 8, P | W | PS | 1 << 12);
    assert_eq!(guest.read(0x4003_5678), Ok(0x1234u16));
    for bit in 13..21 {
        guest.poke(PD + 16, P | PS | 1 << bit);
        assert_eq!(guest.read::<u8>(0x40_0000), Err(page_fault(0x40_0000, 9)), "{bit}");
    }
    for bit in 13..30 {
        guest.poke(PDPT + 16, P | PS | 1 << bit);
        assert_eq!(guest.read::<u8>(0x8000_0000), Err(page_fault(0x8000_0000, 9)), "{bit}");
    }
    guest.poke(PML4 + 8, PDPT | P | PS);
    assert_eq!(guest.read::<u8>(1 << 39), Err(page_fault(1 << 39, 9)));
}

#[test]
fn physical_addresses_are_as_wide_as_cpuid_says() {
    let mut guest = Guest::new();
    let top = (1 << super::super::PHYSICAL_ADDRESS_BITS) - 0x1000;
    guest.map(0x5000, top | P);
    let access = crate::Access { space: crate::Space::Memory, address: top + 8, size: 8 };
    assert_eq!(guest.read::<u64>(0x5008), Err(AccessError::Device(access)));
}

#[test]
fn structures_outside_ram_read_as_all_ones() {
    let mut guest = Guest::new();
    guest.poke(PDPT, 0x40_0000 | P | W);
    assert_eq!(guest.read::<u8>(0x5000), Err(page_fault(0x5000, 9)));
    guest.state.control.cr3 = 0x1000_0000;
    guest.mmu.flush_all();
    assert_eq!(guest.access(0x5000, Execute), Err(page_fault(0x5000, 0x19)));
}

fn legacy(cr4: Cr4Flags) -> Guest {
    let mut guest = Guest::new();
    guest.state.control.efer = EferFlags::empty();
    guest.state.control.cr4 = cr4;
    guest.state.control.cr3 = 0x2_0000;
    guest.sync();
    guest
}

#[test]
fn paging_32_bit() {
    let mut guest = legacy(Cr4Flags::empty());
    guest.poke32(0x2_0000 + 0x3ff * 4, (0x2_1000 | P | W | U) as u32);
    guest.poke32(0x2_1000 + 0x3fe * 4, (0x2_2000 | P | W | U) as u32);
    guest.poke(0x2_2008, 0x55);
    assert_eq!(guest.read(0xffff_e008), Ok(0x55u64));
    assert_eq!(guest.write(0xffff_e008, 0x66u8), Ok(()));
    assert_eq!(guest.peek(0x2_2008), 0x66);
    assert_eq!(guest.peek(0x2_1000 + 0x3fe * 4) & (A | D), A | D);
    assert_eq!(guest.peek(0x2_0000 + 0x3fe * 4) >> 32 & (A | D), A);
    // Nothing denies execution, and the error code does not tell it.
    assert_eq!(guest.access(0xffff_d000, Execute), Err(page_fault(0xffff_d000, 0)));
    // Bits above 32 are not there.
    assert_eq!(guest.read(0x1_ffff_e008), Ok(0x66u64));
}

#[test]
fn page_size_extension() {
    let mut guest = legacy(Cr4Flags::PAGE_SIZE_EXTENSION);
    guest.poke32(0x2_0000 + 4, (P | W | PS) as u32);
    guest.poke(0x3_4568, 0x77);
    assert_eq!(guest.read(0x43_4568), Ok(0x77u8));
    // PSE-36: bits 20:13 are address bits 39:32. Bit 21 is reserved.
    guest.poke32(0x2_0000 + 8, (P | W | PS | 0x81 << 13) as u32);
    let address = 0x81_0000_0010;
    let access = crate::Access { space: crate::Space::Memory, address, size: 4 };
    assert_eq!(guest.read::<u32>(0x80_0010), Err(AccessError::Device(access)));
    guest.poke32(0x2_0000 + 12, (P | W | PS | 1 << 21) as u32);
    assert_eq!(guest.read::<u8>(0xc0_0000), Err(page_fault(0xc0_0000, 9)));
    // Without CR4.PSE the bit is ignored.
    guest.set_cr4(Cr4Flags::PAGE_SIZE_EXTENSION, false);
    guest.poke32(0x2_0000 + 4, (0x2_1000 | P | W | PS) as u32);
    guest.poke32(0x2_1000, (0x3_4000 | P) as u32);
    assert_eq!(guest.read(0x40_0568), Ok(0x77u8));
}

#[test]
fn pae() {
    let mut guest = legacy(Cr4Flags::PHYSICAL_ADDRESS_EXTENSION);
    guest.state.control.cr3 = 0x2_0020; // 32-byte aligned
    guest.poke(0x2_0038, 0x2_1000 | P); // no access rights here
    guest.poke(0x2_1000 + 511 * 8, 0x2_2000 | P | W | U);
    guest.poke(0x2_2000 + 511 * 8, 0x2_3000 | P | W | U);
    guest.poke(0x2_3000, 0x99);
    guest.set_cpl(3);
    assert_eq!(guest.read::<u8>(0xffff_f000), Err(page_fault(0xffff_f000, 4)), "not loaded");
    assert_eq!(guest.load_pointers(), Ok(()));
    assert_eq!(guest.read(0xffff_f000), Ok(0x99u8));
    assert_eq!(guest.write(0xffff_f000, 1u8), Ok(()));
    assert_eq!(guest.peek(0x2_0038), 0x2_1000 | P, "a PDPTE has no accessed flag");
    guest.poke(0x2_1000 + 510 * 8, P | W | U | PS);
    assert_eq!(guest.read(0xffc2_3000), Ok(1u8));
    for bit in [46, 51, 52, 62, 63] {
        guest.poke(0x2_2000, 0x2_3000 | P | U | 1 << bit);
        assert_eq!(guest.read::<u8>(0xffe0_0000), Err(page_fault(0xffe0_0000, 0xd)), "{bit}");
    }
    guest.state.control.efer.insert(EferFlags::NO_EXECUTE_ENABLE);
    guest.sync();
    guest.poke(0x2_2000, 0x2_3000 | P | U | NX);
    assert_eq!(guest.access(0xffe0_0000, Read), Ok(()));
    assert_eq!(guest.access(0xffe0_0000, Execute), Err(page_fault(0xffe0_0000, 0x15)));
    for bit in [1, 2, 5, 8, 46, 63] {
        guest.poke(0x2_0020, 0x2_1000 | P | 1 << bit);
        assert_eq!(guest.load_pointers(), Err(Exception::GP0), "{bit}");
        guest.adopt_pointers();
        assert_eq!(guest.read::<u8>(0x1000), Err(page_fault(0x1000, 0xd)), "{bit}");
        guest.poke(0x2_0020, 1 << bit);
        assert_eq!(guest.load_pointers(), Ok(()), "not present");
    }
}

/// The registers are state: whoever gets it sees what was loaded, whatever memory holds by now.
#[test]
fn pointers_travel_with_the_state() {
    let mut guest = legacy(Cr4Flags::PHYSICAL_ADDRESS_EXTENSION);
    guest.poke(0x2_0000, 0x2_1000 | P);
    guest.poke(0x2_1000, P | W | PS);
    assert_eq!(guest.load_pointers(), Ok(()));
    guest.poke(0x2_0000, 0);
    let mut other = Mmu::new(guest.memory.clone());
    let mut state = guest.state.clone();
    other.update_mode(&state);
    other.adopt_pointers(&mut state);
    assert_eq!(state, guest.state);
    assert_eq!(other.read::<u8>(&state, 0x1234, Privilege::Current), Ok(0));
    state.control.pdptes = None;
    other.flush_all();
    other.adopt_pointers(&mut state);
    assert_eq!(
        other.read::<u8>(&state, 0x1234, Privilege::Current),
        Err(page_fault(0x1234, 0)),
        "those in memory, if nobody tells"
    );
}
