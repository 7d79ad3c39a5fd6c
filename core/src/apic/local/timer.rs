//! The APIC timer: when it expires next, and what its count shows meanwhile.
//!
//! It counts at 1 GHz, before the divider; so does the time-stamp counter. Nothing ticks: the timer
//! keeps the time of its next expiry, and a count is computed when it is asked for.

/// What happens at expiry (SDM, "APIC Timer").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TimerMode {
    OneShot,
    Periodic,
    TscDeadline,
}

impl TimerMode {
    /// From bits 17 and 18 of the timer's entry in the local vector table.
    pub(super) fn from_lvt(lvt: u32) -> Self {
        match lvt >> 17 & 3 {
            1 => Self::Periodic,
            2 => Self::TscDeadline,
            _ => Self::OneShot,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Timer {
    mode: TimerMode,
    divide_configuration: u32,
    initial_count: u32,
    expiry_ns: Option<u64>,
    /// IA32_TSC_DEADLINE: 0 when it is not armed.
    deadline: u64,
}

impl Timer {
    pub(super) const RESET: Self = Self {
        mode: TimerMode::OneShot,
        divide_configuration: 0,
        initial_count: 0,
        expiry_ns: None,
        deadline: 0,
    };

    pub(super) fn expiry_ns(&self) -> Option<u64> {
        self.expiry_ns
    }

    /// Whether the timer has expired by `now_ns`. Periods that have passed unseen expire once.
    pub(super) fn expire(&mut self, now_ns: u64) -> bool {
        let Some(expiry_ns) = self.expiry_ns.filter(|&expiry_ns| expiry_ns <= now_ns) else {
            return false;
        };
        let period_ns = self.period_ns();
        self.expiry_ns = (self.mode == TimerMode::Periodic && period_ns != 0)
            .then(|| now_ns.saturating_add(period_ns - (now_ns - expiry_ns) % period_ns));
        self.deadline = 0;
        true
    }

    /// The TSC-deadline mode and the others share the hardware: a change to it or from it disarms
    /// the timer.
    pub(super) fn set_mode(&mut self, mode: TimerMode) {
        let deadline = TimerMode::TscDeadline;
        if (self.mode == deadline) != (mode == deadline) {
            self.initial_count = 0;
            self.expiry_ns = None;
            self.deadline = 0;
        }
        self.mode = mode;
    }

    pub(super) fn initial_count(&self) -> u32 {
        self.initial_count
    }

    /// Starts counting down; 0 stops the timer. Ignored in TSC-deadline mode.
    pub(super) fn set_initial_count(&mut self, count: u32, now_ns: u64) {
        if self.mode != TimerMode::TscDeadline {
            self.initial_count = count;
            self.expiry_ns = (count != 0).then(|| now_ns.saturating_add(self.period_ns()));
        }
    }

    /// The current count. Any expiry up to `now_ns` has been taken.
    pub(super) fn current_count(&self, now_ns: u64) -> u32 {
        match (self.mode, self.expiry_ns) {
            (TimerMode::TscDeadline, _) | (_, None) => 0,
            (_, Some(expiry_ns)) => {
                expiry_ns.saturating_sub(now_ns).div_ceil(self.divisor()) as u32
            }
        }
    }

    pub(super) fn divide_configuration(&self) -> u32 {
        self.divide_configuration
    }

    /// Changes the divider; a count under way goes on from its value.
    pub(super) fn set_divide_configuration(&mut self, configuration: u32, now_ns: u64) {
        let count = u64::from(self.current_count(now_ns));
        self.divide_configuration = configuration & 0b1011;
        if self.mode != TimerMode::TscDeadline && self.expiry_ns.is_some() {
            self.expiry_ns = Some(now_ns.saturating_add(count * self.divisor()));
        }
    }

    pub(super) fn deadline(&self) -> u64 {
        self.deadline
    }

    /// Arms the timer for the time-stamp counter's value `deadline`; 0 disarms it. Ignored outside
    /// TSC-deadline mode. `tsc` is the counter's value at `now_ns`.
    pub(super) fn set_deadline(&mut self, deadline: u64, tsc: u64, now_ns: u64) {
        if self.mode == TimerMode::TscDeadline {
            self.deadline = deadline;
            self.expiry_ns =
                (deadline != 0).then(|| now_ns.saturating_add(deadline.saturating_sub(tsc)));
        }
    }

    fn period_ns(&self) -> u64 {
        u64::from(self.initial_count) * self.divisor()
    }

    /// SDM, "Divide Configuration Register": bits 3, 1 and 0 choose 2, 4, … 128, and 1.
    fn divisor(&self) -> u64 {
        let code = self.divide_configuration >> 1 & 0b100 | self.divide_configuration & 0b11;
        1 << ((code + 1) & 7)
    }
}
