//! Images as the boot protocols see them: valid ones are loaded as their specification says,
//! hostile ones are refused with one sentence, and no bytes at all make the loaders panic.

mod builder;
mod hostile;
mod program;
mod properties;
mod protocols;
mod running;
mod tables;
