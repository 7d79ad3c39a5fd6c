//! Control registers, EFER, XCR0 and what protection keys deny.

pub use x86_64::registers::control::{Cr0Flags, Cr4Flags, EferFlags};
pub use x86_64::registers::xcontrol::XCr0Flags;

/// The control registers. CR8 is the local APIC's task priority and lives there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Control {
    /// CR0.
    pub cr0: Cr0Flags,
    /// CR2: the linear address of the last page fault.
    pub cr2: u64,
    /// CR3: the physical address of the top paging structure, and its cache bits.
    pub cr3: u64,
    /// The PDPTE registers of PAE paging. `None`: what memory holds where CR3 says, for states from an
    /// engine that does not tell them.
    pub pdptes: Option<[u64; 4]>,
    /// CR4.
    pub cr4: Cr4Flags,
    /// The extended-feature enable register.
    pub efer: EferFlags,
    /// XCR0: the state components that XSAVE may manage.
    pub xcr0: XCr0Flags,
    /// PKRU: what each protection key denies of pages of user mode.
    pub pkru: u32,
    /// IA32_PKRS: what each protection key denies of the other pages.
    pub pkrs: u32,
}
