//! VEX-encoded vector instructions: that each has a row, that the host's vector unit and portable code
//! agree, what becomes of upper halves, and what is raised. `oracle` holds each against silicon.

#[path = "../common/mod.rs"]
mod common;
mod faults;
mod harness;
mod masked;
mod moves;
mod portable;
