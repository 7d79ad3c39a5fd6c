//! Model-specific registers that belong to no other part of the state. Numbers, writable bits and
//! effects are in `execute`; FS and GS base live in their segments, EFER in [`super::Control`].

/// Values of the model-specific registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Msrs {
    /// IA32_STAR: selectors for SYSCALL and SYSRET.
    pub star: u64,
    /// IA32_LSTAR: target of SYSCALL in 64-bit mode.
    pub lstar: u64,
    /// IA32_CSTAR: target of SYSCALL in compatibility mode (AMD).
    pub cstar: u64,
    /// IA32_FMASK: RFLAGS bits that SYSCALL clears.
    pub fmask: u64,
    /// IA32_KERNEL_GS_BASE: what SWAPGS exchanges with GS.base.
    pub kernel_gs_base: u64,
    /// IA32_SYSENTER_CS.
    pub sysenter_cs: u64,
    /// IA32_SYSENTER_ESP.
    pub sysenter_esp: u64,
    /// IA32_SYSENTER_EIP.
    pub sysenter_eip: u64,
    /// IA32_PAT.
    pub pat: u64,
    /// IA32_TSC_AUX: what RDTSCP returns in ECX.
    pub tsc_aux: u64,
    /// IA32_TSC_ADJUST: added to the clock to give the time-stamp counter.
    pub tsc_adjust: u64,
    /// IA32_APIC_BASE.
    pub apic_base: u64,
    /// IA32_MISC_ENABLE.
    pub misc_enable: u64,
    /// IA32_DEBUGCTL.
    pub debug_control: u64,
    /// IA32_MCG_STATUS.
    pub machine_check_status: u64,
    /// IA32_MCG_CTL.
    pub machine_check_control: u64,
    /// IA32_MCi_CTL of each bank. The banks' other registers are zero while there is no error.
    pub machine_check_banks: [u64; 2],
    /// IA32_MTRR_DEF_TYPE.
    pub mtrr_default_type: u64,
    /// The variable MTRRs: base and mask of each.
    pub mtrr_variable: [[u64; 2]; 8],
    /// The eleven fixed-range MTRRs.
    pub mtrr_fixed: [u64; 11],
}
