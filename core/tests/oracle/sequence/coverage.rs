//! Which of the interpreter's handlers were part of what sequences were translated to, by the names that
//! this program's symbols give them.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::{env, fs};

use object::{Object, ObjectSymbol};

use crate::interpreter::Interpreter;

/// Where handlers are.
const PREFIX: &str = "_ZN14monovisor_core7execute";
/// Groups of instructions as one op: what this comparison is for.
const GROUPS: [&str; 7] = [
    "fused::",
    "sse::pair::",
    "sse::neighbours::",
    "control_transfer::branch::",
    "materialize::",
    "string::flat::",
    "multiply_divide::",
];

/// Counts of handlers.
pub struct Coverage {
    /// Names by address.
    names: HashMap<usize, String>,
    /// How often each has been translated to.
    counts: HashMap<usize, u64>,
    /// Slots that have been looked at.
    seen: usize,
}

impl Coverage {
    /// Reads this program's symbols; without them nothing is counted.
    pub fn new() -> Self {
        let names = symbols().unwrap_or_default();
        Self { names, counts: HashMap::new(), seen: 0 }
    }

    /// Counts what has been translated since the last time.
    pub fn count(&mut self, interpreter: &Interpreter) {
        let words: Vec<usize> = interpreter.vcpu.translated_words(self.seen).collect();
        // After a flush there are fewer than were seen.
        self.seen = match words.len() {
            0 => interpreter.vcpu.translated_words(0).count(),
            more => self.seen + more,
        };
        for word in words {
            if self.names.contains_key(&word) {
                *self.counts.entry(word).or_default() += 1;
            }
        }
    }

    /// For each function among the handlers: how many of its instances were reached, how many there
    /// are, and how often.
    pub fn rows(&self) -> BTreeMap<&str, (usize, usize, u64)> {
        let mut rows: BTreeMap<&str, (usize, usize, u64)> = BTreeMap::new();
        for (address, name) in &self.names {
            let count = self.counts.get(address).copied().unwrap_or(0);
            let row = rows.entry(name).or_default();
            row.0 += usize::from(count > 0);
            row.1 += 1;
            row.2 += count;
        }
        rows
    }

    /// Prints the rows of groups, and how many of all handlers were reached.
    pub fn show(&self) {
        let rows = self.rows();
        for (name, (reached, all, count)) in &rows {
            if GROUPS.iter().any(|group| name.starts_with(group)) && *count > 0 {
                eprintln!("  {name:56} {reached:4} of {all:4} instances {count:10} times");
            }
        }
        let instances: HashSet<_> = self.counts.keys().collect();
        let reached = rows.values().filter(|row| row.2 > 0).count();
        eprintln!("  {reached} handlers and functions, {} instances reached", instances.len());
    }
}

/// The functions of `execute` by their addresses in memory.
fn symbols() -> Option<HashMap<usize, String>> {
    let image = fs::read(env::current_exe().ok()?).ok()?;
    let file = object::File::parse(&*image).ok()?;
    let own = file.symbols().find(|symbol| {
        symbol.name().is_ok_and(|name| name.contains("8coverage6anchor") && symbol.size() > 0)
    })?;
    let moved = (anchor as *const () as usize).wrapping_sub(own.address() as usize);
    let mut names = HashMap::new();
    for symbol in file.symbols() {
        if let Some(name) = symbol.name().ok().and_then(readable) {
            names.insert((symbol.address() as usize).wrapping_add(moved), name);
        }
    }
    Some(names)
}

/// Its address tells where the program is loaded.
#[inline(never)]
fn anchor() -> usize {
    std::hint::black_box(0)
}

/// The path of a function below `execute`, without its hash.
fn readable(symbol: &str) -> Option<String> {
    let mut rest = symbol.strip_prefix(PREFIX)?;
    let mut parts = Vec::new();
    while let Some(digits) = rest.find(|byte: char| !byte.is_ascii_digit()).filter(|at| *at > 0) {
        let length: usize = rest[..digits].parse().ok()?;
        parts.push(rest.get(digits..digits + length)?);
        rest = &rest[digits + length..];
    }
    parts.pop()?;
    Some(parts.join("::"))
}
