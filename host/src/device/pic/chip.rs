//! One 8259A programmable interrupt controller, after its data sheet.
//!
//! A request that an edge has latched stays until it is acknowledged even if the line falls, as in
//! QEMU and KVM; a level-triggered one goes with its line.

/// ICW1 is told from OCW2 and OCW3 by this bit.
const ICW1: u8 = 1 << 4;
const ICW1_NEEDS_ICW4: u8 = 1 << 0;
const ICW1_SINGLE: u8 = 1 << 1;
const ICW1_LEVEL_TRIGGERED: u8 = 1 << 3;
const ICW4_AUTOMATIC_EOI: u8 = 1 << 1;
const ICW4_SPECIAL_FULLY_NESTED: u8 = 1 << 4;
/// OCW3 is told from OCW2 by this bit.
const OCW3: u8 = 1 << 3;
const OCW3_READ_ISR: u8 = 1 << 0;
const OCW3_READ: u8 = 1 << 1;
const OCW3_POLL: u8 = 1 << 2;
const OCW3_SPECIAL_MASK: u8 = 1 << 5;
const OCW3_SET_SPECIAL_MASK: u8 = 1 << 6;
/// What a poll gives in its highest bit if there was a request.
const POLL_REQUEST: u8 = 1 << 7;

/// Which initialization word comes next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Expects {
    #[default]
    Nothing,
    Icw2,
    Icw3,
    Icw4,
}

/// One chip.
#[derive(Clone, Debug, Default)]
pub struct Chip {
    /// Inputs with a chip behind them, for the special fully nested mode.
    cascade: u8,
    /// The lines as they are.
    inputs: u8,
    /// Interrupt request register.
    irr: u8,
    /// Interrupt mask register.
    imr: u8,
    /// In-service register.
    isr: u8,
    /// Inputs that are level-triggered one by one, whatever ICW1 said.
    level_triggered: u8,
    all_level_triggered: bool,
    vector_base: u8,
    /// The input with the highest priority; rotation moves it.
    highest: u8,
    expects: Expects,
    needs_icw4: bool,
    single: bool,
    automatic_eoi: bool,
    rotate_on_automatic_eoi: bool,
    special_mask: bool,
    special_fully_nested: bool,
    poll: bool,
    read_isr: bool,
}

impl Chip {
    pub fn new(cascade: u8) -> Self {
        Self { cascade, ..Self::default() }
    }

    pub fn set_input(&mut self, input: u8, level: bool) {
        let bit = 1 << input;
        let was = self.inputs & bit != 0;
        if level {
            self.inputs |= bit;
        } else {
            self.inputs &= !bit;
        }
        if self.levels() & bit != 0 {
            self.irr = self.irr & !bit | self.inputs & bit;
        } else if level && !was {
            self.irr |= bit;
        }
    }

    /// The input whose request is to be served now: the one of highest priority that is not masked
    /// and has no equal or higher one in service.
    pub fn request(&self) -> Option<u8> {
        let pending = self.priority_of(self.irr & !self.imr)?;
        let mut in_service = self.isr;
        if self.special_mask {
            in_service &= !self.imr;
        }
        if self.special_fully_nested {
            in_service &= !self.cascade;
        }
        let served = self.priority_of(in_service).unwrap_or(8);
        (pending < served).then(|| self.input_of(pending))
    }

    pub fn acknowledge(&mut self, input: u8) {
        let bit = 1 << input;
        if self.levels() & bit == 0 {
            self.irr &= !bit;
        }
        if !self.automatic_eoi {
            self.isr |= bit;
        } else if self.rotate_on_automatic_eoi {
            self.highest = (input + 1) & 7;
        }
    }

    pub fn vector(&self, input: u8) -> u8 {
        self.vector_base | input
    }

    pub fn read(&mut self, odd: bool) -> u8 {
        if std::mem::take(&mut self.poll) {
            let Some(input) = self.request() else { return 0 };
            self.acknowledge(input);
            return POLL_REQUEST | input;
        }
        match (odd, self.read_isr) {
            (true, _) => self.imr,
            (false, true) => self.isr,
            (false, false) => self.irr,
        }
    }

    pub fn write(&mut self, odd: bool, value: u8) {
        if odd {
            self.write_odd(value);
        } else if value & ICW1 != 0 {
            self.initialize(value);
        } else if value & OCW3 != 0 {
            self.write_ocw3(value);
        } else {
            self.write_ocw2(value);
        }
    }

    pub fn level_triggered(&self) -> u8 {
        self.level_triggered
    }

    pub fn set_level_triggered(&mut self, inputs: u8) {
        self.level_triggered = inputs;
        self.irr = self.irr & !inputs | self.inputs & inputs;
    }

    fn levels(&self) -> u8 {
        if self.all_level_triggered { 0xff } else { self.level_triggered }
    }

    /// Distance from the highest priority of the foremost of `inputs`.
    fn priority_of(&self, inputs: u8) -> Option<u8> {
        (inputs != 0).then(|| inputs.rotate_right(self.highest.into()).trailing_zeros() as u8)
    }

    fn input_of(&self, priority: u8) -> u8 {
        (priority + self.highest) & 7
    }

    /// ICW1: clears everything but the lines, so edges must come anew.
    fn initialize(&mut self, icw1: u8) {
        let all_level_triggered = icw1 & ICW1_LEVEL_TRIGGERED != 0;
        let levels = if all_level_triggered { 0xff } else { self.level_triggered };
        *self = Self {
            cascade: self.cascade,
            inputs: self.inputs,
            irr: self.inputs & levels,
            level_triggered: self.level_triggered,
            all_level_triggered,
            vector_base: self.vector_base,
            expects: Expects::Icw2,
            needs_icw4: icw1 & ICW1_NEEDS_ICW4 != 0,
            single: icw1 & ICW1_SINGLE != 0,
            ..Self::default()
        };
    }

    fn write_odd(&mut self, value: u8) {
        let icw4 = if self.needs_icw4 { Expects::Icw4 } else { Expects::Nothing };
        match self.expects {
            Expects::Nothing => self.imr = value,
            Expects::Icw2 => {
                self.vector_base = value & 0xf8;
                self.expects = if self.single { icw4 } else { Expects::Icw3 };
            }
            // The wiring is fixed, so what ICW3 says of it changes nothing.
            Expects::Icw3 => self.expects = icw4,
            Expects::Icw4 => {
                self.automatic_eoi = value & ICW4_AUTOMATIC_EOI != 0;
                self.special_fully_nested = value & ICW4_SPECIAL_FULLY_NESTED != 0;
                self.expects = Expects::Nothing;
            }
        }
    }

    fn write_ocw3(&mut self, value: u8) {
        if value & OCW3_POLL != 0 {
            self.poll = true;
        }
        if value & OCW3_READ != 0 {
            self.read_isr = value & OCW3_READ_ISR != 0;
        }
        if value & OCW3_SET_SPECIAL_MASK != 0 {
            self.special_mask = value & OCW3_SPECIAL_MASK != 0;
        }
    }

    /// OCW2: ends of interrupt and rotation, by its bits R, SL and EOI.
    fn write_ocw2(&mut self, value: u8) {
        let level = value & 7;
        match value >> 5 {
            0b000 => self.rotate_on_automatic_eoi = false,
            0b100 => self.rotate_on_automatic_eoi = true,
            command @ (0b001 | 0b101) => {
                let Some(priority) = self.priority_of(self.isr) else { return };
                let input = self.input_of(priority);
                self.isr &= !(1 << input);
                if command == 0b101 {
                    self.highest = (input + 1) & 7;
                }
            }
            0b011 => self.isr &= !(1 << level),
            0b111 => {
                self.isr &= !(1 << level);
                self.highest = (level + 1) & 7;
            }
            0b110 => self.highest = (level + 1) & 7,
            _ => {}
        }
    }
}
