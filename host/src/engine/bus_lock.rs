//! Whether a guest's locked operation across two cache lines may lock the host's bus. Processors can
//! report that to their kernel, which then slows the program down or ends it (Linux, "Bus lock
//! detection and handling"); there such operations need an exclusive section.

use std::sync::OnceLock;

/// Whether the host lets programs lock the bus.
pub fn is_free() -> bool {
    static FREE: OnceLock<bool> = OnceLock::new();
    *FREE.get_or_init(|| {
        let linux = cfg!(all(target_os = "linux", target_arch = "x86_64"));
        linux && std::fs::read_to_string("/proc/cpuinfo").is_ok_and(|cpus| !detects(&cpus))
    })
}

/// Whether the kernel, which lists the processors thus, detects bus locks.
fn detects(cpus: &str) -> bool {
    let flags =
        cpus.lines().filter(|line| line.starts_with("flags")).flat_map(str::split_whitespace);
    // A list without flags tells nothing.
    let mut known = false;
    for flag in flags {
        known = true;
        if matches!(flag, "split_lock_detect" | "bus_lock_detect") {
            return true;
        }
    }
    !known
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_list_tells() {
        assert!(!detects("model name\t: AMD EPYC\nflags\t\t: fpu vme cx16\n"));
        assert!(detects("flags\t\t: fpu split_lock_detect cx16\n"));
        assert!(detects("flags\t\t: fpu bus_lock_detect\n"));
        assert!(detects("processor\t: 0\n"), "nothing is known");
    }
}
