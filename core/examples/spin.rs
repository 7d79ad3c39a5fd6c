//! Times a few loops on the interpreter.
use std::sync::Arc;
use std::time::Instant;

use monovisor_core::state::*;
use monovisor_core::{CpuState, InstructionClock, Ram, Vcpu};

fn long_mode(ram: &Ram, rip: u64) -> CpuState {
    // identity map the first GiB with 2 MiB pages
    ram.write(0x1000, &0x2003u64.to_le_bytes());
    ram.write(0x2000, &0x3003u64.to_le_bytes());
    for i in 0..512u64 {
        ram.write(0x3000 + i * 8, &(i << 21 | 0x83).to_le_bytes());
    }
    let mut s = CpuState::reset(0);
    s.control.cr3 = 0x1000;
    s.control.cr0 |= Cr0Flags::PAGING | Cr0Flags::PROTECTED_MODE_ENABLE;
    s.control.cr4 |= Cr4Flags::PHYSICAL_ADDRESS_EXTENSION | Cr4Flags::OSFXSR;
    s.control.efer |= EferFlags::LONG_MODE_ENABLE | EferFlags::LONG_MODE_ACTIVE;
    let cs = &mut s.segments[SegmentRegister::Cs];
    cs.base = 0;
    cs.limit = u32::MAX;
    cs.access = Access(0xa09b);
    for r in [SegmentRegister::Ss, SegmentRegister::Ds, SegmentRegister::Es] {
        s.segments[r].base = 0;
        s.segments[r].limit = u32::MAX;
        s.segments[r].access = Access(0xc093);
    }
    s.rip = rip;
    s.gpr[Register::Rsp] = 0x80000;
    s
}

fn bench(name: &str, code: &[u8]) {
    let ram = Arc::new(Ram::new(64 << 20).unwrap());
    ram.write(0x10000, code);
    let mut vcpu = Vcpu::new(ram.clone(), Arc::new(InstructionClock), 0);
    vcpu.set_state(&long_mode(&ram, 0x10000));
    let n = 300_000_000;
    let t = Instant::now();
    let exit = vcpu.run(n);
    let e = t.elapsed();
    println!(
        "{name}: {exit:?} retired {} {:?} {:.0} MIPS rip={:#x} log={:?}",
        vcpu.retired(),
        e,
        vcpu.retired() as f64 / e.as_secs_f64() / 1e6,
        vcpu.state().rip,
        vcpu.fault_log().iter().last()
    );
}

fn main() {
    // alu: mov rcx,..; l: add rax,rbx; xor rbx,rax; rol.. sub rcx,1; jne l
    bench(
        "alu",
        &[
            0x48, 0x01, 0xd8, // add rax,rbx
            0x48, 0x31, 0xc3, // xor rbx,rax
            0x48, 0x8d, 0x54, 0x18, 0x07, // lea rdx,[rax+rbx+7]
            0x48, 0x29, 0xd0, // sub rax,rdx
            0x48, 0xff, 0xc9, // dec rcx
            0x75, 0xed, // jne start
            0xeb, 0xeb,
        ],
    );
    // sieve-like byte stores: l: mov byte [rsi+rdi], 1; add rdi, 3; and edi, 0xffff; dec rcx; jne
    bench(
        "store",
        &[
            0xbe, 0x00, 0x00, 0x20, 0x00, // mov esi, 0x200000
            0xc6, 0x04, 0x3e, 0x01, // mov byte [rsi+rdi],1
            0x48, 0x83, 0xc7, 0x03, // add rdi,3
            0x81, 0xe7, 0xff, 0xff, 0x00, 0x00, // and edi,0xffff
            0x48, 0xff, 0xc9, // dec rcx
            0x75, 0xed, // jne
            0xeb, 0xeb,
        ],
    );
    // call/ret
    bench(
        "call",
        &[
            0xe8, 0x08, 0x00, 0x00, 0x00, // call f
            0x48, 0xff, 0xc9, // dec rcx
            0x75, 0xf6, // jne
            0xeb, 0xf4, // jmp
            0x90, // nop
            0x48, 0x01, 0xd8, // f: add rax, rbx
            0xc3,
        ],
    );
}
