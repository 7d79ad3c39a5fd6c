//! The processor.
#![no_std]
