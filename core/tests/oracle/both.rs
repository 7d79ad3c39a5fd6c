//! The two processors side by side: a batch of cases, a single case, the smallest case.

use std::collections::BTreeSet;

use iced_x86::Instruction;

use crate::case::{Case, Outcome, Raised, State, X87};
use crate::compare::{self, Difference};
use crate::explained::{self, EXPLANATIONS};
use crate::generate::Image;
use crate::generate::encoding::decode;
use crate::interpreter::Interpreter;
use crate::layout::WRITABLE;
use crate::shrink::shrink;
use crate::silicon::Silicon;

/// The processor under us, and the interpreter.
pub struct Both {
    pub silicon: Silicon,
    interpreter: Interpreter,
    outcome: Box<Outcome>,
    /// Cases that differ for each of the known reasons.
    pub explained: [u64; EXPLANATIONS.len()],
}

/// A case that ends differently.
pub struct Mismatch {
    pub case: Case,
    pub image: Box<Image>,
    pub differences: Vec<Difference>,
}

/// The instruction of a case, unless its bytes are none.
pub fn instruction(case: &Case) -> Option<Instruction> {
    decode(case.mode, case.code(), case.start()).ok()
}

impl Both {
    pub fn new() -> Self {
        let state = State {
            gpr: [0; 16],
            rip: 0,
            rflags: 0,
            ymm: [[0; 2]; 16],
            mxcsr: 0,
            x87: X87::INITIAL,
        };
        let memory = [0; WRITABLE as usize];
        let outcome = Box::new(Outcome { raised: Raised::NOTHING, state, memory });
        let explained = [0; EXPLANATIONS.len()];
        Self { silicon: Silicon::new(), interpreter: Interpreter::new(), outcome, explained }
    }

    /// Runs a batch on both at once; the indices of the cases that differ without a known reason.
    pub fn batch(&mut self, image: &Image, cases: &[Case]) -> Vec<usize> {
        self.silicon.begin(image, cases);
        let mut ours = Vec::with_capacity(cases.len());
        for case in cases {
            self.interpreter.execute(image, case, &mut self.outcome);
            ours.push(*self.outcome);
        }
        let mut found = Vec::new();
        let outcomes = cases.iter().zip(&mut ours).zip(self.silicon.finish());
        for (index, ((case, ours), theirs)) in outcomes.enumerate() {
            let Some(theirs) = theirs else {
                found.push(index);
                continue;
            };
            let (instruction, mut theirs) = (instruction(case), *theirs);
            compare::defined(&mut theirs, case, instruction.as_ref());
            compare::defined(ours, case, instruction.as_ref());
            if theirs == *ours {
                continue;
            }
            match instruction.and_then(|it| explained::find(case, &it, &theirs, ours)) {
                Some(reason) => self.explained[reason] += 1,
                None => found.push(index),
            }
        }
        found
    }

    /// How a single case differs, unless there is a known reason.
    pub fn ask(&mut self, image: &Image, case: &Case) -> Vec<Difference> {
        let instruction = instruction(case);
        self.interpreter.execute(image, case, &mut self.outcome);
        let Some(mut theirs) = self.silicon.execute(image, case) else {
            let lost = "the process that executed it is lost".to_owned();
            return vec![Difference { what: lost, ..Difference::default() }];
        };
        let ours = &mut *self.outcome;
        compare::defined(&mut theirs, case, instruction.as_ref());
        compare::defined(ours, case, instruction.as_ref());
        if instruction.is_some_and(|it| explained::find(case, &it, &theirs, ours).is_some()) {
            return Vec::new();
        }
        compare::differences(&theirs, ours)
    }

    /// The same mismatch with as little state as shows it.
    pub fn shrink(&mut self, image: &Image, case: &Case) -> Mismatch {
        let (mut case, mut image) = (*case, Box::new(*image));
        let names = |found: &[Difference]| -> BTreeSet<String> {
            found.iter().map(|difference| difference.what.clone()).collect()
        };
        let code = |case: &Case| instruction(case).map(|instruction| instruction.code());
        let (whole, same) = (names(&self.ask(&image, &case)), code(&case));
        shrink(&mut case, &mut image, |image, case| {
            if code(case) != same {
                return false;
            }
            let found = names(&self.ask(image, case));
            !found.is_empty() && found.is_subset(&whole)
        });
        let differences = self.ask(&image, &case);
        Mismatch { case, image, differences }
    }
}
