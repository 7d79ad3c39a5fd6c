//! Tests of this folder, each beside the name of its subject.

mod delivery;
mod exception;
mod far;
mod far_return;
mod fixture;
mod inspect;
mod iret;
mod robust;
mod segment;
mod system_call;
mod task;
mod task_race;
mod virtual_8086;
