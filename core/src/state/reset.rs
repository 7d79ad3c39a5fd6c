//! Values after power-up, reset and INIT (SDM, "Processor State After Reset").

use super::{
    Access, Activity, Control, CpuState, Cr0Flags, Cr4Flags, Debug, DescriptorTable, EferFlags,
    Fpu, Gpr, Msrs, Pending, RFlags, Register, Segment, SegmentRegister, Segments, Shadow,
    XCr0Flags,
};

/// Access rights that a data segment has after reset: present, writable, accessed.
const REAL_MODE_DATA: Access = Access(0x93);
/// Access rights that the code segment has after reset: present, readable, accessed.
const REAL_MODE_CODE: Access = Access(0x9b);

/// The processor signature: family 6, model 0x1c, stepping 10. EDX holds it after reset and INIT, and
/// CPUID tells it.
pub const SIGNATURE: u32 = 0x0001_06ca;

impl CpuState {
    /// The state after power-up or reset of a processor with APIC ID `apic_id`. The first one is
    /// the bootstrap processor and starts at the reset vector, the others wait for a start-up IPI.
    pub fn reset(apic_id: u32) -> Self {
        let bootstrap = apic_id == 0;
        let mut gpr = Gpr::default();
        gpr[Register::Rdx] = u64::from(SIGNATURE);
        Self {
            gpr,
            rip: 0xfff0,
            rflags: RFlags::from_bits_retain(2),
            segments: reset_segments(),
            gdtr: DescriptorTable { base: 0, limit: 0xffff },
            idtr: DescriptorTable { base: 0, limit: 0xffff },
            control: Control {
                cr0: Cr0Flags::NOT_WRITE_THROUGH
                    | Cr0Flags::CACHE_DISABLE
                    | Cr0Flags::EXTENSION_TYPE,
                cr2: 0,
                cr3: 0,
                pdptes: None,
                cr4: Cr4Flags::empty(),
                efer: EferFlags::empty(),
                xcr0: XCr0Flags::X87,
                pkru: 0,
                pkrs: 0,
            },
            debug: Debug { address: [0; 4], dr6: 0xffff_0ff0, dr7: 0x400 },
            msr: Msrs {
                star: 0,
                lstar: 0,
                cstar: 0,
                fmask: 0,
                kernel_gs_base: 0,
                sysenter_cs: 0,
                sysenter_esp: 0,
                sysenter_eip: 0,
                pat: 0x0007_0406_0007_0406,
                tsc_aux: 0,
                tsc_adjust: 0,
                apic_base: 0xfee0_0000 | 1 << 11 | u64::from(bootstrap) << 8,
                misc_enable: 1,
                debug_control: 0,
                machine_check_status: 0,
                // As firmware leaves them: every error would be told.
                machine_check_control: u64::MAX,
                machine_check_banks: [u64::MAX; 2],
                mtrr_default_type: 0,
                mtrr_variable: [[0; 2]; 8],
                mtrr_fixed: [0; 11],
            },
            fpu: Fpu {
                xmm: [0; 16],
                ymm_high: [0; 16],
                st: [0; 8],
                mxcsr: 0x1f80,
                control_word: 0x40,
                status_word: 0,
                tag_word: 0xff,
                opcode: 0,
                instruction_pointer: 0,
                data_pointer: 0,
            },
            activity: if bootstrap { Activity::Active } else { Activity::WaitForSipi },
            shadow: Shadow::default(),
            pending: Pending::default(),
        }
    }

    /// What INIT does: as reset, but the floating-point state, the MSRs (APIC base among them) and
    /// CR0's cache bits keep their values, and the processor waits for a start-up IPI.
    pub fn init(&mut self) {
        let kept = self.control.cr0 & (Cr0Flags::NOT_WRITE_THROUGH | Cr0Flags::CACHE_DISABLE);
        let reset = Self::reset(1);
        let bootstrap = self.msr.apic_base & 1 << 8 != 0;
        *self = Self {
            msr: self.msr,
            fpu: self.fpu,
            control: Control {
                cr0: kept | Cr0Flags::EXTENSION_TYPE,
                xcr0: self.control.xcr0,
                pkru: self.control.pkru,
                pkrs: self.control.pkrs,
                ..reset.control
            },
            activity: if bootstrap { Activity::Active } else { Activity::WaitForSipi },
            ..reset
        };
    }

    /// What a start-up IPI with `vector` does to a processor that waits for one: execution starts
    /// in real mode at `vector * 4096`.
    pub fn start_up(&mut self, vector: u8) {
        let cs = &mut self.segments[SegmentRegister::Cs];
        cs.selector = u16::from(vector) << 8;
        cs.base = u64::from(vector) << 12;
        self.rip = 0;
        self.activity = Activity::Active;
    }
}

fn reset_segments() -> Segments {
    let mut segments = Segments::default();
    for register in SegmentRegister::ALL {
        segments[register] =
            Segment { base: 0, limit: 0xffff, access: REAL_MODE_DATA, selector: 0 };
    }
    segments[SegmentRegister::Cs] =
        Segment { base: 0xffff_0000, limit: 0xffff, access: REAL_MODE_CODE, selector: 0xf000 };
    segments[SegmentRegister::Ldtr].access = Access(0x82);
    segments[SegmentRegister::Tr].access = Access(0x8b);
    segments
}
