//! Cross-modifying code (SDM, "Handling Self- and Cross-Modifying Code"): one processor rewrites an
//! instruction that another has executed; after a serialising instruction, or an interrupt, the other
//! executes the new one.
//@ cpus: 3
//@ stdout: after CPUID: always the new code
//@ stdout: after IRET: always the new code
//@ stdout: after MOV to CR3: always the new code
//@ stdout: after an interrupt: always the new code

#![no_std]
#![no_main]

use core::arch::asm;
use core::mem::transmute;
use core::sync::atomic::{AtomicU32, Ordering};
use guest_tests::interrupt::set_handler;
use guest_tests::smp::team;
use guest_tests::{bench, check_eq, device::apic, paging, println, smp, snippet};
use x86_64::instructions::interrupts;

guest_tests::entry!(main);

const VECTOR: u8 = 0x50;
/// What is in the routine now, and what each processor has got from it last.
static WRITTEN: AtomicU32 = AtomicU32::new(0);
static GOT: [AtomicU32; 3] = [const { AtomicU32::new(0) }; 3];
static INTERRUPTED: [AtomicU32; 3] = [const { AtomicU32::new(0) }; 3];

fn main() {
    let rounds = bench::argument("rounds", 15) as u32;
    set_handler(VECTOR, |_| {
        INTERRUPTED[smp::number()].fetch_add(1, Ordering::Relaxed);
        apic::end_of_interrupt();
    });
    // MOV EAX with an aligned number, and RET.
    let code = snippet!("nop", "nop", "nop", "mov eax, 0", "ret");
    let routine = paging::frame();
    // SAFETY: the frame is new, and executable as all memory of a guest is.
    let call = unsafe {
        core::ptr::copy_nonoverlapping(code.as_ptr(), routine as *mut u8, code.len());
        transmute::<u64, extern "C" fn() -> u32>(routine)
    };
    let ways: [(&str, fn()); 3] = [
        ("CPUID", serialize_by_cpuid),
        ("IRET", serialize_by_iret),
        ("MOV to CR3", paging::flush_all),
    ];
    for (name, serialize) in ways {
        run(routine, rounds, false, &|number| {
            smp::wait_until(|| WRITTEN.load(Ordering::Acquire) >= number);
            serialize();
            call()
        });
        println!("after {name}: always the new code");
    }
    run(routine, rounds, true, &|number| {
        let cpu = smp::number();
        interrupts::enable();
        smp::wait_until(|| INTERRUPTED[cpu].load(Ordering::Relaxed) >= number);
        interrupts::disable();
        call()
    });
    println!("after an interrupt: always the new code");
}

/// Writes the numbers from 1 to `rounds` into the routine, one after the other, each when all others
/// have `executed` the one before.
fn run(routine: u64, rounds: u32, interrupt: bool, execute: &(dyn Fn(u32) -> u32 + Sync)) {
    WRITTEN.store(0, Ordering::Relaxed);
    GOT.iter().chain(&INTERRUPTED).for_each(|counter| counter.store(0, Ordering::Relaxed));
    team::run(3, &|cpu| {
        for number in 1..=rounds {
            if cpu != 0 {
                check_eq!(execute(number), number, "what processor {cpu} executed");
                GOT[cpu].store(number, Ordering::Release);
                continue;
            }
            // SAFETY: the number is within the routine's MOV, aligned.
            unsafe { ((routine + 4) as *mut u32).write_volatile(number) };
            WRITTEN.store(number, Ordering::Release);
            for other in 1..3 {
                if interrupt {
                    team::send(other, VECTOR);
                }
            }
            smp::wait_until(|| GOT[1..].iter().all(|got| got.load(Ordering::Acquire) == number));
        }
    });
}

fn serialize_by_cpuid() {
    guest_tests::cpu::cpuid(0, 0);
}

fn serialize_by_iret() {
    // SAFETY: it returns to the next instruction with everything as it was.
    unsafe {
        asm!(
            "mov {old}, rsp",
            "mov {word:e}, ss",
            "push {word}",
            "push {old}",
            "pushfq",
            "mov {word:e}, cs",
            "push {word}",
            "lea {word}, [rip + 2f]",
            "push {word}",
            "iretq",
            "2:",
            old = out(reg) _,
            word = out(reg) _,
        )
    };
}
