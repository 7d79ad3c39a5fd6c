//! The guest that `cargo xtask run` starts: a short tour of what a guest finds in its machine and can do
//! there. Its speeds and times are what they are; all else is checked.
//@ exit: 0
//@ stdout-contains: caught: #PF (vector 14), error code 0x2, address 0x8000000000
//@ stdout-contains: ten ticks
//@ stdout-contains: back with 42
//@ stdout-contains: power off
//@ qemu: differs: it prints the processor's name and the machine's speed

#![no_std]
#![no_main]

extern crate alloc;

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::arch::asm;
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};
use guest_tests::cpu::{cpuid, has_leaf, rdtsc};
use guest_tests::device::{apic, halt_until, pic, pit};
use guest_tests::interrupt::{Frame, set_handler, vector};
use guest_tests::paging::TEST_AREA;
use guest_tests::{MemoryKind, boot_info, exit, fault_of, println, snippet, user};

guest_tests::entry!(main);

static TICKS: AtomicU32 = AtomicU32::new(0);

fn tick(_: &mut Frame) {
    TICKS.fetch_add(1, Relaxed);
    pic::end_of_interrupt(0);
}

fn main() {
    println!(
        "Welcome. This is a kernel without an operating system below it, compiled with stable Rust.\n"
    );
    processor();
    memory();
    println!("fault      {}", fault());
    println!("user mode  went to CPL 3, and came back with {}", user_mode());
    println!("heap       {}", heap());
    timer();
    speed();
    println!("\nThat is all: power off.");
    exit::power_off()
}

fn processor() {
    println!("processor  {}", brand());
    let (one, seven) = (cpuid(1, 0), cpuid(7, 0));
    let extended = cpuid(0x8000_0001, 0);
    let features = [
        ("sse2", one.edx, 26),
        ("cx16", one.ecx, 13),
        ("x2apic", one.ecx, 21),
        ("popcnt", one.ecx, 23),
        ("tsc-deadline", one.ecx, 24),
        ("xsave", one.ecx, 26),
        ("rdrand", one.ecx, 30),
        ("fsgsbase", seven.ebx, 0),
        ("smep", seven.ebx, 7),
        ("rdseed", seven.ebx, 18),
        ("smap", seven.ebx, 20),
        ("nx", extended.edx, 20),
        ("1g-pages", extended.edx, 26),
        ("rdtscp", extended.edx, 27),
    ];
    let offered = features.iter().filter(|(_, register, bit)| register >> bit & 1 != 0);
    let names: Vec<&str> = offered.map(|(name, ..)| *name).collect();
    println!("           {}", names.join(" "));
}

/// The brand string, or the vendor's name.
fn brand() -> String {
    let leaves = if has_leaf(0x8000_0004) { 0x8000_0002..=0x8000_0004 } else { 0..=0 };
    let words = leaves.flat_map(|leaf| {
        let found = cpuid(leaf, 0);
        if leaf == 0 {
            [found.ebx, found.edx, found.ecx, 0]
        } else {
            [found.eax, found.ebx, found.ecx, found.edx]
        }
    });
    let bytes: Vec<u8> = words.flat_map(u32::to_le_bytes).filter(|&byte| byte != 0).collect();
    String::from_utf8_lossy(&bytes).trim().into()
}

fn memory() {
    let info = boot_info();
    println!("entry      {:?}, command line {:?}", info.protocol, info.command_line());
    for range in info.memory() {
        let kind = match range.kind {
            MemoryKind::Ram => "RAM",
            MemoryKind::Other(_) => "reserved",
        };
        println!("memory     {:#012x} - {:#012x} {kind}", range.start, range.end());
    }
}

/// Writes where nothing is, and goes on.
fn fault() -> String {
    // SAFETY: it faults, which `fault_of` expects.
    let frame = fault_of(|| unsafe { asm!("mov byte ptr [{}], 1", in(reg) TEST_AREA) });
    alloc::format!(
        "caught: {} (vector {}), error code {:#x}, address {:#x}",
        vector::name(frame.vector as u8),
        frame.vector,
        frame.error_code,
        frame.cr2,
    )
}

fn user_mode() -> u64 {
    user::run_code(snippet!("lea rax, [rdi + rsi]", "int 0x80"), 40, 2).rax
}

/// The five commonest words of a text.
fn heap() -> String {
    let text = "the page table is a tree and the tlb is a cache of the tree \
                and the kernel is the keeper of the tree";
    let mut counts = BTreeMap::new();
    for word in text.split(' ') {
        *counts.entry(word).or_insert(0) += 1;
    }
    let mut ranked: Vec<(&str, i32)> = counts.into_iter().collect();
    ranked.sort_by_key(|&(word, count)| (-count, word));
    let ranked: Vec<String> =
        ranked.iter().take(5).map(|(word, count)| alloc::format!("{word} x{count}")).collect();
    ranked.join(", ")
}

/// Sleeps for ten ticks of the PIT, 5 ms each.
fn timer() {
    const TICK: u16 = (pit::FREQUENCY_HZ / 200) as u16;
    apic::init_virtual_wire();
    pic::init();
    set_handler(pic::vector(0), tick);
    pit::start(pit::RATE, TICK);
    pic::unmask(0);
    let start = rdtsc();
    halt_until(|| TICKS.load(Relaxed) >= 10);
    let cycles = rdtsc() - start;
    pic::mask(0);
    println!("timer      ten ticks in {:.1} million cycles of the TSC", cycles as f64 / 1e6);
}

/// Runs a loop of known length for a known time.
fn speed() {
    const TURNS: u64 = 2_000_000;
    /// In the loop below.
    const INSTRUCTIONS: u64 = 5;
    /// 20 ms, in which the TSC says how fast it goes.
    const WINDOW: u16 = (pit::FREQUENCY_HZ / 50) as u16;
    let start = rdtsc();
    pit::wait(WINDOW);
    let cycles_per_second = (rdtsc() - start) as f64 * 50.0;
    let start = rdtsc();
    // SAFETY: only registers change.
    unsafe {
        asm!(
            "2: lea {a}, [{a} + {a} * 4]",
            "add {a}, {n}",
            "xor {b}, {a}",
            "dec {n}",
            "jnz 2b",
            a = inout(reg) 1_u64 => _,
            b = inout(reg) 0_u64 => _,
            n = inout(reg) TURNS => _,
        )
    };
    let seconds = (rdtsc() - start) as f64 / cycles_per_second;
    let rate = (TURNS * INSTRUCTIONS) as f64 / seconds / 1e6;
    println!("speed      {rate:.0} million instructions a second, in a loop of additions");
}
