//! How a run ended, and the exit code that this gives `monovisor run`. Nothing here prints or
//! decides: the run loop makes an [`Outcome`], `report` and `diagnose` tell it.
//!
//! Invariant: the codes are an interface. Scripts and continuous integration depend on them, so a
//! code never changes its meaning, and neither does a [name](Outcome::name).

use std::fmt;

use monovisor_core::EngineError;

/// What `monovisor run` returns when a limit ended the guest; the same as timeout(1).
pub const LIMIT: u8 = 124;
/// What it returns for a failure of its own; the same as timeout(1) and docker-run(1).
pub const FAILURE: u8 = 125;
/// What it returns for an image that can't be used; a shell's code for "found, can't be executed".
pub const UNUSABLE_IMAGE: u8 = 126;
/// What it returns for a file that doesn't exist; a shell's code for "command not found".
pub const NOT_FOUND: u8 = 127;
/// What it returns for a guest that died: a shell's code for a process that aborted (128 + SIGABRT).
pub const DIED: u8 = 134;

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// The guest left through the debug-exit port. The value is the exit code as it will be
    /// returned: QEMU's `(value << 1) | 1`, or the written value with `--debug-exit raw`.
    Exited(u8),
    /// The guest turned the power off.
    PoweredOff,
    /// The guest asked for a reset, and `--reboot` was not given.
    Reset {
        /// What asked for it, as a noun: `"the keyboard controller"`, `"port 0xcf9"`.
        cause: &'static str,
    },
    /// An exception during the delivery of a double fault shut the processor down.
    TripleFault,
    /// The time of `--timeout` has passed.
    TimeLimit,
    /// The instructions of `--max-instructions` have been executed.
    InstructionLimit,
    /// The processor has halted, and nothing that could wake it can ever happen.
    HaltedForever,
    /// A signal asked monovisor to stop.
    Interrupted {
        /// The signal's number.
        signal: u8,
    },
    /// Whoever read the guest's output has closed it.
    OutputClosed,
    /// The engine itself has failed; the guest is not to blame.
    EngineFailure(EngineError),
}

impl Outcome {
    /// The exit code of `monovisor run`.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Exited(code) => *code,
            Self::PoweredOff => 0,
            Self::Reset { .. } | Self::TripleFault | Self::HaltedForever => DIED,
            Self::TimeLimit | Self::InstructionLimit => LIMIT,
            Self::Interrupted { signal } => 128u8.saturating_add(*signal),
            Self::OutputClosed | Self::EngineFailure(_) => FAILURE,
        }
    }

    /// The name that machine-readable reports use; it never changes.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Exited(_) => "exited",
            Self::PoweredOff => "powered-off",
            Self::Reset { .. } => "reset",
            Self::TripleFault => "triple-fault",
            Self::TimeLimit => "time-limit",
            Self::InstructionLimit => "instruction-limit",
            Self::HaltedForever => "halted-forever",
            Self::Interrupted { .. } => "interrupted",
            Self::OutputClosed => "output-closed",
            Self::EngineFailure(_) => "engine-failure",
        }
    }

    /// Whether the guest ended the run itself, by an exit or by turning the power off. All other
    /// outcomes deserve an explanation.
    pub fn is_orderly(&self) -> bool {
        matches!(self, Self::Exited(_) | Self::PoweredOff)
    }

    /// Whether the guest's own state explains the end.
    pub fn is_guest_failure(&self) -> bool {
        matches!(
            self,
            Self::Reset { .. }
                | Self::TripleFault
                | Self::TimeLimit
                | Self::InstructionLimit
                | Self::HaltedForever
        )
    }

    /// Whether a report on the guest is worth printing: it failed, or the engine failed at what it
    /// did.
    pub fn has_report(&self) -> bool {
        self.is_guest_failure() || matches!(self, Self::EngineFailure(_))
    }
}

/// One sentence for people, without a full stop.
impl fmt::Display for Outcome {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(code) => write!(formatter, "the guest exited with code {code}"),
            Self::PoweredOff => formatter.write_str("the guest turned the power off"),
            Self::Reset { cause } => {
                write!(formatter, "the guest reset the machine through {cause}")
            }
            Self::TripleFault => formatter.write_str(
                "triple fault: an exception could not be delivered, nor could the double fault \
                 that followed",
            ),
            Self::TimeLimit => formatter.write_str("the time limit passed before the guest ended"),
            Self::InstructionLimit => {
                formatter.write_str("the guest reached its limit of instructions")
            }
            Self::HaltedForever => formatter
                .write_str("the guest halted, and no interrupt that could wake it can ever arrive"),
            Self::Interrupted { signal } => write!(formatter, "stopped by signal {signal}"),
            Self::OutputClosed => formatter.write_str(
                "the guest's output cannot be written: its reader has gone, or its disk is full",
            ),
            Self::EngineFailure(error) => write!(formatter, "{error}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAILED: EngineError = EngineError { operation: "KVM_RUN", errno: 14 };

    #[test]
    fn every_outcome_has_its_documented_code_and_name() {
        let table = [
            (Outcome::Exited(33), 33, "exited"),
            (Outcome::PoweredOff, 0, "powered-off"),
            (Outcome::Reset { cause: "port 0xcf9" }, 134, "reset"),
            (Outcome::TripleFault, 134, "triple-fault"),
            (Outcome::TimeLimit, 124, "time-limit"),
            (Outcome::InstructionLimit, 124, "instruction-limit"),
            (Outcome::HaltedForever, 134, "halted-forever"),
            (Outcome::Interrupted { signal: 2 }, 130, "interrupted"),
            (Outcome::OutputClosed, 125, "output-closed"),
            (Outcome::EngineFailure(FAILED), 125, "engine-failure"),
        ];
        for (outcome, code, name) in table {
            assert_eq!((outcome.exit_code(), outcome.name()), (code, name));
            let sentence = outcome.to_string();
            assert!(!sentence.contains('\n') && !sentence.ends_with('.'), "{sentence}");
        }
    }

    #[test]
    fn only_an_exit_and_power_off_are_orderly() {
        assert!(Outcome::Exited(1).is_orderly() && Outcome::PoweredOff.is_orderly());
        assert!(!Outcome::TripleFault.is_orderly());
        assert!(Outcome::TimeLimit.is_guest_failure());
        assert!(!Outcome::EngineFailure(FAILED).is_guest_failure());
    }
}
