//! The platform's devices, as far as several tests program them.
