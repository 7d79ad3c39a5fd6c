//! `/dev/kvm`: whether it is there, may be opened, and offers all that the engine needs. Whatever is
//! missing is a sentence.
//!
//! Invariant: a [`System`] that could be opened has every capability of [`REQUIRED`], so that no
//! file beside this one asks again.

use std::os::unix::fs::MetadataExt;
use std::{fs, io};

use kvm_bindings::{CpuId, KVM_CAP_SREGS2, KVM_MAX_CPUID_ENTRIES, kvm_cpuid_entry2};
use kvm_ioctls::{Cap, Kvm};
use monovisor_core::cpuid::{Feature, Output, feature};

/// The device.
const PATH: &str = "/dev/kvm";
/// KVM_API_VERSION, the same since Linux 2.6.22.
const API_VERSION: i32 = 12;

/// What the engine can't do without, and what KVM's documentation calls it.
const REQUIRED: &[(Cap, &str)] = &[
    (Cap::UserMemory, "KVM_CAP_USER_MEMORY"),
    (Cap::ExtCpuid, "KVM_CAP_EXT_CPUID"),
    (Cap::ImmediateExit, "KVM_CAP_IMMEDIATE_EXIT"),
    (Cap::VcpuEvents, "KVM_CAP_VCPU_EVENTS"),
    (Cap::Debugregs, "KVM_CAP_DEBUGREGS"),
    (Cap::Xcrs, "KVM_CAP_XCRS"),
    (Cap::Xsave, "KVM_CAP_XSAVE"),
    (Cap::UserNmi, "KVM_CAP_USER_NMI"),
    (Cap::GetTscKhz, "KVM_CAP_GET_TSC_KHZ"),
    (Cap::X86UserSpaceMsr, "KVM_CAP_X86_USER_SPACE_MSR (Linux 5.10)"),
    (Cap::X86MsrFilter, "KVM_CAP_X86_MSR_FILTER (Linux 5.10)"),
];

/// Features that the platform brings whatever KVM says: the local APIC is ours, and so are the
/// registers that describe memory types and those that tell of machine checks.
const OURS: &[Feature] = &[
    feature::MTRR,
    feature::MCE,
    feature::MCA,
    feature::X2APIC,
    feature::TSC_DEADLINE,
    feature::HYPERVISOR,
    feature::ARAT,
];

/// Why KVM can't be used. The words follow a colon.
#[derive(Debug, thiserror::Error)]
pub enum Unavailable {
    /// There is no such device.
    #[error("there is no {PATH}: the host has no KVM, or its module is not loaded")]
    Absent,
    /// The device may not be opened.
    #[error("{PATH} may not be opened: be a member of the group `{group}`, or run as root")]
    Forbidden {
        /// The group that owns the device.
        group: String,
    },
    /// The device can't be opened for another reason.
    #[error("{PATH} cannot be opened: {0}")]
    Open(io::Error),
    /// There is something else in the device's place.
    #[error("{PATH} is something else than KVM's device")]
    Foreign,
    /// The device speaks another language.
    #[error("{PATH} has version {0} of KVM's interface, not {API_VERSION}")]
    Version(i32),
    /// A capability is missing.
    #[error("this KVM has not {0}")]
    Lacks(&'static str),
    /// A call to KVM failed.
    #[error("{operation} failed: {source}")]
    Call {
        /// What was attempted.
        operation: &'static str,
        /// What the host said.
        source: kvm_ioctls::Error,
    },
    /// It works, and not as a processor should.
    #[error("{0}")]
    Unfit(String),
}

impl Unavailable {
    /// Wraps the error of the call `operation`.
    pub(super) fn call(operation: &'static str) -> impl Fn(kvm_ioctls::Error) -> Self {
        move |source| Self::Call { operation, source }
    }
}

/// KVM, opened and probed.
#[derive(Debug)]
pub struct System {
    pub(super) kvm: Kvm,
    /// The registers that can be saved and restored.
    pub(super) msrs: Vec<u32>,
    /// Whether the time-stamp counter can be given a frequency.
    pub(super) scales_tsc: bool,
    /// Whether it tells the PDPTE registers.
    pub(super) tells_pdptes: bool,
}

impl System {
    /// Opens and probes `/dev/kvm`.
    ///
    /// # Errors
    /// What is missing.
    pub fn open() -> Result<Self, Unavailable> {
        let kvm =
            Kvm::new().map_err(|error| opening(io::Error::from_raw_os_error(error.errno())))?;
        match kvm.get_api_version() {
            API_VERSION => {}
            ..0 => return Err(Unavailable::Foreign),
            version => return Err(Unavailable::Version(version)),
        }
        if let Some((_, name)) = REQUIRED.iter().find(|(cap, _)| !kvm.check_extension(*cap)) {
            return Err(Unavailable::Lacks(name));
        }
        let msrs = kvm.get_msr_index_list().map_err(Unavailable::call("KVM_GET_MSR_INDEX_LIST"))?;
        Ok(Self {
            msrs: msrs.as_slice().to_vec(),
            scales_tsc: kvm.check_extension(Cap::TscControl),
            tells_pdptes: kvm.check_extension_raw(KVM_CAP_SREGS2.into()) > 0,
            kvm,
        })
    }

    /// What this KVM's processors can tell about themselves.
    ///
    /// KVM asks the processor leaf by leaf, which takes long where it is a guest itself.
    pub(super) fn supported(&self) -> Result<CpuId, Unavailable> {
        self.kvm
            .get_supported_cpuid(KVM_MAX_CPUID_ENTRIES)
            .map_err(Unavailable::call("KVM_GET_SUPPORTED_CPUID"))
    }
}

/// Whether processors that can tell this have the feature.
pub(super) fn has(supported: &[kvm_cpuid_entry2], feature: &Feature) -> bool {
    let entry = supported
        .iter()
        .find(|entry| (entry.function, entry.index) == (feature.leaf, feature.subleaf));
    let register = entry.map_or(0, |entry| match feature.output {
        Output::Eax => entry.eax,
        Output::Ebx => entry.ebx,
        Output::Ecx => entry.ecx,
        Output::Edx => entry.edx,
    });
    // What the interpreter says there, that nothing is speculated, is not true of silicon.
    let told = *feature != feature::ARCH_CAPABILITIES;
    told && (OURS.contains(feature) || register >> feature.bit & 1 != 0)
}

fn opening(error: io::Error) -> Unavailable {
    match error.kind() {
        io::ErrorKind::NotFound => Unavailable::Absent,
        io::ErrorKind::PermissionDenied => Unavailable::Forbidden { group: owning_group() },
        // The device file is there, and no module behind it.
        _ if matches!(error.raw_os_error(), Some(libc::ENODEV | libc::ENXIO)) => {
            Unavailable::Absent
        }
        _ => Unavailable::Open(error),
    }
}

/// The group that owns the device: its name, or its number where it has none.
fn owning_group() -> String {
    let Ok(metadata) = fs::metadata(PATH) else { return "kvm".to_owned() };
    let number = metadata.gid().to_string();
    let groups = fs::read_to_string("/etc/group").unwrap_or_default();
    group_name(&groups, &number).map_or(number.clone(), str::to_owned)
}

/// The name of a group in the text of `/etc/group`: `name:password:number:members`.
fn group_name<'a>(groups: &'a str, number: &str) -> Option<&'a str> {
    groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == number).then_some(name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_is_one_sentence_that_says_what_to_do() {
        let denied = opening(io::Error::from_raw_os_error(libc::EACCES)).to_string();
        assert!(denied.contains("be a member of the group `"), "{denied}");
        for (errno, words) in [
            (libc::ENOENT, "its module is not loaded"),
            (libc::ENODEV, "its module is not loaded"),
            (libc::EMFILE, "cannot be opened: "),
        ] {
            let sentence = opening(io::Error::from_raw_os_error(errno)).to_string();
            assert!(sentence.contains(words), "{sentence}");
        }
    }

    #[test]
    fn groups_are_found_by_number() {
        let groups = "root:x:0:\nkvm:x:104:me,you\nbroken\n";
        assert_eq!(group_name(groups, "104"), Some("kvm"));
        assert_eq!(group_name(groups, "0"), Some("root"));
        assert_eq!(group_name(groups, "4"), None);
    }

    #[test]
    fn a_feature_is_there_if_kvm_or_the_platform_has_it() {
        let leaf1 = [kvm_cpuid_entry2 { function: 1, edx: u32::MAX, ..Default::default() }];
        assert!(has(&leaf1, &feature::SSE2) && has(&leaf1, &feature::X2APIC));
        assert!(!has(&leaf1, &feature::POPCNT) && !has(&leaf1, &feature::LONG_MODE));
        let leaf7 = [kvm_cpuid_entry2 { function: 7, edx: u32::MAX, ..Default::default() }];
        assert!(has(&leaf7, &feature::FSRM) && !has(&leaf7, &feature::ARCH_CAPABILITIES));
    }
}
