//! The two processors side by side: a batch of cases, a single case, the smallest case.

use std::collections::{BTreeMap, BTreeSet};
use std::slice;

use iced_x86::Instruction;

use crate::case::{Case, Outcome};
use crate::compare::{self, Difference};
use crate::explained::{self, EXPLANATIONS};
use crate::generate::Image;
use crate::generate::encoding::decode;
use crate::interpreter::Interpreter;
use crate::shrink::shrink;
use crate::silicon::{Lost, Silicon};

/// The processor under us, and the interpreter.
pub struct Both {
    pub silicon: Box<dyn Silicon>,
    interpreter: Interpreter,
    outcome: Box<Outcome>,
    /// Cases that differ for each of the known reasons.
    pub explained: [u64; EXPLANATIONS.len()],
    /// Cases that the processor was not asked, for each reason.
    pub refused: BTreeMap<&'static str, u64>,
}

/// A case that ends differently.
pub struct Mismatch {
    pub case: Case,
    pub image: Box<Image>,
    pub differences: Vec<Difference>,
}

/// What becomes of a case.
pub enum Answer {
    Same,
    /// It differs for the reason with this number.
    Explained(usize),
    Differs(Vec<Difference>),
}

/// The instruction of a case, unless its bytes are none.
pub fn instruction(case: &Case) -> Option<Instruction> {
    decode(case.mode, case.code(), case.start()).ok()
}

impl Both {
    pub fn new(silicon: Box<dyn Silicon>) -> Self {
        let outcome = Box::new(Outcome::NONE);
        let explained = [0; EXPLANATIONS.len()];
        let (interpreter, refused) = (Interpreter::new(), BTreeMap::new());
        Self { silicon, interpreter, outcome, explained, refused }
    }

    /// Runs a batch on both at once; the indices of the cases that differ without a known reason.
    pub fn batch(&mut self, image: &Image, cases: &[Case]) -> Vec<usize> {
        let paravirtual = self.silicon.is_paravirtual();
        self.silicon.begin(image, cases);
        let mut ours = Vec::with_capacity(cases.len());
        for case in cases {
            self.interpreter.execute(image, case, &mut self.outcome);
            ours.push(*self.outcome);
        }
        let mut found = Vec::new();
        let outcomes = cases.iter().zip(&mut ours).zip(self.silicon.finish());
        for (index, ((case, ours), theirs)) in outcomes.enumerate() {
            let mut theirs = match theirs {
                Ok(theirs) => *theirs,
                Err(Lost::Gone) => {
                    found.push(index);
                    continue;
                }
                Err(Lost::Refused(reason)) => {
                    *self.refused.entry(reason).or_default() += 1;
                    continue;
                }
            };
            let instruction = instruction(case);
            compare::defined(&mut theirs, case, instruction.as_ref());
            compare::defined(ours, case, instruction.as_ref());
            if theirs == *ours {
                continue;
            }
            match instruction.and_then(|it| explained::find(case, &it, &theirs, ours, paravirtual))
            {
                Some(reason) => self.explained[reason] += 1,
                None => found.push(index),
            }
        }
        found
    }

    /// How a single case differs, unless there is a known reason.
    pub fn ask(&mut self, image: &Image, case: &Case) -> Vec<Difference> {
        match self.answer(image, case) {
            Answer::Differs(differences) => differences,
            Answer::Same | Answer::Explained(_) => Vec::new(),
        }
    }

    /// What becomes of a single case.
    pub fn answer(&mut self, image: &Image, case: &Case) -> Answer {
        let instruction = instruction(case);
        self.interpreter.execute(image, case, &mut self.outcome);
        let paravirtual = self.silicon.is_paravirtual();
        self.silicon.begin(image, slice::from_ref(case));
        let mut theirs = match self.silicon.finish()[0] {
            Ok(theirs) => *theirs,
            Err(Lost::Gone) => return Answer::Differs(vec![Difference::lost()]),
            Err(Lost::Refused(_)) => return Answer::Same,
        };
        let ours = &mut *self.outcome;
        compare::defined(&mut theirs, case, instruction.as_ref());
        compare::defined(ours, case, instruction.as_ref());
        let reason =
            instruction.and_then(|it| explained::find(case, &it, &theirs, ours, paravirtual));
        match (compare::differences(&theirs, ours), reason) {
            (differences, _) if differences.is_empty() => Answer::Same,
            (_, Some(reason)) => Answer::Explained(reason),
            (differences, None) => Answer::Differs(differences),
        }
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
