//! The workloads of `cargo xtask bench compare` in a guest. The command line says what to run and for
//! how long: `run=cpu,mutex ms=500 threads=2`; a few milliseconds of each without it. With `marks` it
//! says at the debug console what its clock shows, before and after what each report tells of.

//@ cpus: 2
//@ disk: 2M
//@ flags: --memory 256M
//@ stdout-contains: {"name":"cpu","events":
//@ stdout-contains: {"name":"threads","events":
//@ stdout-contains: {"name":"exit.memory","events":
//@ qemu: skip: what it prints are times, and its machine with a disk has no ACPI to find processors by

#![no_std]
#![no_main]

extern crate alloc;

use alloc::format;
use core::arch::{asm, naked_asm};
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use guest_tests::clock::Clock;
use guest_tests::cpu::{rdtsc, wrmsr};
use guest_tests::device::disk::SECTOR_SIZE;
use guest_tests::device::sleeping_disk::SleepingDisk;
use guest_tests::device::{apic, halt_until, pic, port};
use guest_tests::interrupt::{Frame, set_handler, vector};
use guest_tests::paging::{self, Flags, Level};
use guest_tests::register::msr::{IA32_LSTAR, IA32_STAR};
use guest_tests::segment::{KERNEL_CODE, USER_CODE_32};
use guest_tests::workload::{self, Disk, Effort, Machine, Operation};
use guest_tests::{bench, boot_info, check_eq, println, smp, thread, user};
use spin::Mutex;

guest_tests::entry!(main);

const TIMER_VECTOR: u8 = 0x60;
const SIGNAL_VECTOR: u8 = 0x61;
/// How far ahead the timer is set.
const TIMER_NS: u64 = 50_000;
/// The register of the I/O APIC through which the others are seen.
const IO_APIC_WINDOW: u64 = 0xfec0_0010;
/// Whose output nobody holds back.
const DEBUG_CONSOLE: u16 = 0xe9;
const USER_STACK_FRAMES: u64 = 64;

static FIRED_TSC: AtomicU64 = AtomicU64::new(0);
static SIGNALS: AtomicU32 = AtomicU32::new(0);

fn main() {
    let line = boot_info().command_line();
    let chosen = line.split_whitespace().find_map(|word| word.strip_prefix("run="));
    let effort = Effort {
        duration_ns: bench::argument("ms", 4) * 1_000_000,
        threads: bench::argument("threads", 2) as usize,
    };
    let machine = Guest::new(line.split_whitespace().any(|word| word == "marks"));
    for name in workload::names() {
        if chosen.is_none_or(|chosen| chosen.split(',').any(|one| one == name)) {
            let reports = workload::run(name, &machine, effort).expect("a workload of the list");
            reports.iter().for_each(|report| println!("{report}"));
        }
    }
}

/// This machine.
struct Guest {
    clock: Clock,
    /// Ticks of the local APIC's timer in [`TIMER_NS`].
    timer_ticks: u32,
    disk: Option<GuestDisk>,
    /// Two roots of the same page tables.
    roots: [u64; 2],
    /// The end of user mode's stack.
    user_stack: u64,
    /// The clock is read by somebody else, too.
    marks: bool,
}

impl Guest {
    fn new(marks: bool) -> Self {
        pic::init();
        apic::init();
        set_handler(TIMER_VECTOR, timer);
        set_handler(SIGNAL_VECTOR, signal);
        open_memory_to_user_mode();
        let clock = Clock::calibrate();
        let disk = SleepingDisk::find().map(|disk| GuestDisk(Mutex::new(disk)));
        let user_stack =
            paging::frames(USER_STACK_FRAMES, paging::PAGE) + USER_STACK_FRAMES * paging::PAGE;
        let (timer_ticks, roots) = (timer_ticks(&clock), [root(), copied_root()]);
        Self { clock, timer_ticks, disk, roots, user_stack, marks }
    }

    fn timed(&self, count: u64, mut operation: impl FnMut()) -> u64 {
        let start = rdtsc();
        (0..count).for_each(|_| operation());
        self.clock.ns(rdtsc() - start)
    }

    /// How late the timer's handler is, on average.
    fn timer(&self, count: u64) -> u64 {
        apic::write(apic::register::DIVIDE, apic::BY_ONE);
        apic::write(apic::register::LVT_TIMER, TIMER_VECTOR.into());
        (0..count)
            .map(|_| {
                FIRED_TSC.store(0, Relaxed);
                let start = rdtsc();
                apic::write(apic::register::INITIAL_COUNT, self.timer_ticks);
                halt_until(|| FIRED_TSC.load(Relaxed) != 0);
                self.clock
                    .ns(FIRED_TSC.load(Relaxed).saturating_sub(start))
                    .saturating_sub(TIMER_NS)
            })
            .sum()
    }

    /// A signal to a processor that sleeps, and its answer.
    fn signal(&self, count: u64) -> u64 {
        static TARGET: AtomicU32 = AtomicU32::new(0);
        const NOBODY: u32 = u32::MAX;
        TARGET.store(NOBODY, Relaxed);
        SIGNALS.store(0, Relaxed);
        let taken_ns = AtomicU64::new(0);
        thread::in_parallel(2, &|number| {
            if number == 1 {
                TARGET.store(smp::apic_id(), Relaxed);
                return halt_until(|| u64::from(SIGNALS.load(Relaxed)) == count);
            }
            smp::wait_until(|| TARGET.load(Relaxed) != NOBODY);
            let signal = || {
                let before = SIGNALS.load(Relaxed);
                apic::send_to(TARGET.load(Relaxed), u32::from(SIGNAL_VECTOR) | apic::ASSERT);
                smp::wait_until(|| SIGNALS.load(Relaxed) != before);
            };
            taken_ns.store(self.timed(count, signal), Relaxed);
        });
        taken_ns.into_inner()
    }

    /// From user mode into the kernel and back.
    fn system_call(&self, count: u64) -> u64 {
        let star = u64::from(USER_CODE_32) << 48 | u64::from(KERNEL_CODE) << 32;
        // SAFETY: the selectors are in the order that SYSCALL and SYSRET want, the handler is one.
        unsafe {
            wrmsr(IA32_STAR, star);
            wrmsr(IA32_LSTAR, handler as *const () as u64);
        }
        let mut ticks = 0;
        self.in_user_mode(&mut || ticks = system_calls(count));
        self.clock.ns(ticks)
    }
}

impl Machine for Guest {
    fn now_ns(&self) -> u64 {
        self.clock.now_ns()
    }

    fn mark(&self) {
        if self.marks {
            let text = format!("mark {}\n", self.now_ns());
            text.bytes().for_each(|byte| port::write(DEBUG_CONSOLE, byte));
        }
    }

    fn in_user_mode(&self, mut body: &mut dyn FnMut()) {
        let end = user::run(user::Context {
            rip: enter as *const () as u64,
            // As if it had been called.
            rsp: self.user_stack - 8,
            rdi: (&raw mut body) as u64,
            ..user::Context::default()
        });
        check_eq!(end.vector, u64::from(vector::BP), "user mode ended by itself");
    }

    fn in_parallel(&self, threads: usize, body: &(dyn Fn(usize) + Sync)) {
        thread::in_parallel(threads, body);
    }

    fn yield_now(&self) {
        thread::yield_now();
    }

    fn disk(&self) -> Option<&dyn Disk> {
        self.disk.as_ref().map(|disk| disk as &dyn Disk)
    }

    fn perform(&self, operation: Operation, count: u64) -> Option<u64> {
        match operation {
            Operation::SystemCall => Some(self.system_call(count)),
            Operation::AddressSpace => Some(self.timed(count, || {
                // SAFETY: both roots map the same.
                self.roots.iter().rev().for_each(|root| unsafe {
                    asm!("mov cr3, {}", in(reg) *root, options(nostack, preserves_flags));
                });
            })),
            Operation::Timer => Some(self.timer(count)),
            Operation::Signal => (smp::count() > 1).then(|| self.signal(count)),
            // The port of the power-on self-test's codes, which everybody ignores.
            Operation::PortWrite => Some(self.timed(count, || port::write::<u8>(0x80, 0))),
            Operation::MemoryMappedRead => Some(self.timed(count, || {
                // SAFETY: the I/O APIC's window, mapped one to one; reading it has no effect.
                unsafe { (IO_APIC_WINDOW as *const u32).read_volatile() };
            })),
        }
    }
}

/// The first instructions in user mode.
extern "C" fn enter(body: *mut &mut dyn FnMut()) -> ! {
    // SAFETY: `in_user_mode` passes its own, and waits.
    unsafe {
        (*body)();
        asm!("int3", options(noreturn));
    }
}

/// How many ticks `count` system calls take.
fn system_calls(count: u64) -> u64 {
    let start = rdtsc();
    for _ in 0..count {
        // SAFETY: the handler returns at once; SYSCALL overwrites RCX and R11.
        unsafe { asm!("syscall", out("rcx") _, out("r11") _, options(nostack)) };
    }
    rdtsc() - start
}

#[unsafe(naked)]
extern "C" fn handler() {
    naked_asm!("sysretq")
}

fn timer(_: &mut Frame) {
    FIRED_TSC.store(rdtsc(), Relaxed);
    apic::end_of_interrupt();
}

fn signal(_: &mut Frame) {
    SIGNALS.fetch_add(1, Relaxed);
    apic::end_of_interrupt();
}

/// How often the local APIC's timer ticks in [`TIMER_NS`].
fn timer_ticks(clock: &Clock) -> u32 {
    const ROUNDS: u64 = 200;
    apic::write(apic::register::DIVIDE, apic::BY_ONE);
    apic::write(apic::register::LVT_TIMER, apic::MASKED);
    apic::write(apic::register::INITIAL_COUNT, u32::MAX);
    let (first, start_ns) = (apic::read(apic::register::CURRENT_COUNT), clock.now_ns());
    while clock.now_ns() - start_ns < ROUNDS * TIMER_NS {}
    let ticks = first - apic::read(apic::register::CURRENT_COUNT);
    apic::write(apic::register::INITIAL_COUNT, 0);
    ticks / ROUNDS as u32
}

/// Programs in user mode use the same memory as everybody here.
fn open_memory_to_user_mode() {
    let user = Flags::USER_ACCESSIBLE.bits();
    for linear in (0..1 << 32).step_by(Level::Page2M.bytes() as usize) {
        let entry = paging::get(linear, Level::Page2M);
        paging::set_without_flush(linear, Level::Page2M, entry | user);
    }
    paging::flush_all();
}

fn root() -> u64 {
    x86_64::registers::control::Cr3::read_raw().0.start_address().as_u64()
}

fn copied_root() -> u64 {
    let copy = paging::frame();
    // SAFETY: both are frames, mapped one to one; the new one is ours.
    unsafe { core::ptr::copy_nonoverlapping(root() as *const u8, copy as *mut u8, 4096) };
    copy
}

/// The disk, one request at a time.
struct GuestDisk(Mutex<SleepingDisk>);

impl Disk for GuestDisk {
    fn bytes(&self) -> u64 {
        self.0.lock().sectors() * SECTOR_SIZE as u64
    }

    fn read(&self, offset: u64, buffer: &mut [u8]) {
        self.0.lock().read(offset / SECTOR_SIZE as u64, buffer);
    }

    fn write(&self, offset: u64, bytes: &[u8]) {
        self.0.lock().write(offset / SECTOR_SIZE as u64, bytes);
    }

    fn flush(&self) {
        self.0.lock().flush();
    }
}
