//! Tables of handlers: one operation by width, by form of memory operand, by kind of flags.

use crate::execute::op::Handler;

/// Handlers of one operation by form of memory operand.
pub(crate) type ByForm = [Handler; 3];
/// Handlers of one operation by form of memory operand and by where its base and index are: the three
/// forms, then [`Base`](crate::execute::address::Base) in the result word, and
/// [`Indexed`](crate::execute::address::Indexed) with its base or its index there.
pub(crate) type ByAddress = [Handler; 6];
/// Handlers of one operation by width: 8, 16, 32, 64 bits.
pub(crate) type ByWidth = [Handler; 4];

/// An array of handlers for the four widths.
macro_rules! by_width {
    ($width:ident => $handler:expr) => {
        [
            {
                type $width = u8;
                $handler as $crate::execute::op::Handler
            },
            {
                type $width = u16;
                $handler as $crate::execute::op::Handler
            },
            {
                type $width = u32;
                $handler as $crate::execute::op::Handler
            },
            {
                type $width = u64;
                $handler as $crate::execute::op::Handler
            },
        ]
    };
}

/// An array of handlers for the three forms of memory operand.
macro_rules! by_form {
    ($address:ident => $handler:expr) => {
        [
            {
                type $address = $crate::execute::address::Base;
                $handler as $crate::execute::op::Handler
            },
            {
                type $address = $crate::execute::address::Indexed;
                $handler as $crate::execute::op::Handler
            },
            {
                type $address = $crate::execute::address::Far;
                $handler as $crate::execute::op::Handler
            },
        ]
    };
}

/// An array of handlers for the three forms of memory operand by the four widths.
macro_rules! by_form_and_width {
    ($address:ident, $width:ident => $handler:expr) => {
        [
            { type $address = $crate::execute::address::Base; $crate::execute::emit::by_width!($width => $handler) },
            { type $address = $crate::execute::address::Indexed; $crate::execute::emit::by_width!($width => $handler) },
            { type $address = $crate::execute::address::Far; $crate::execute::emit::by_width!($width => $handler) },
        ]
    };
}

/// An array of handlers for the entries of [`ByAddress`] by the four widths.
macro_rules! by_address_and_width {
    ($address:ident, $width:ident => $handler:expr) => {
        [
            { type $address = $crate::execute::address::Base; $crate::execute::emit::by_width!($width => $handler) },
            { type $address = $crate::execute::address::Indexed; $crate::execute::emit::by_width!($width => $handler) },
            { type $address = $crate::execute::address::Far; $crate::execute::emit::by_width!($width => $handler) },
            {
                use $crate::execute::forward::LastResult;
                type $address = $crate::execute::address::Base<LastResult>;
                $crate::execute::emit::by_width!($width => $handler)
            },
            {
                use $crate::execute::forward::{LastResult, Stored};
                type $address = $crate::execute::address::Indexed<LastResult, Stored>;
                $crate::execute::emit::by_width!($width => $handler)
            },
            {
                use $crate::execute::forward::{LastResult, Stored};
                type $address = $crate::execute::address::Indexed<Stored, LastResult>;
                $crate::execute::emit::by_width!($width => $handler)
            },
        ]
    };
}

/// Four functions by width.
macro_rules! functions {
    ($function:ident $(, $operation:ty)?) => {
        [
            $function::<$($operation,)? u8> as $crate::execute::emit::Function,
            $function::<$($operation,)? u16>,
            $function::<$($operation,)? u32>,
            $function::<$($operation,)? u64>,
        ]
    };
}

/// One handler for each kind of flags.
macro_rules! by_kind {
    ($handler:ident $(, $more:expr)?) => {
        [
            $handler::<0 $(, $more)?> as $crate::execute::op::Handler, $handler::<1 $(, $more)?>, $handler::<2 $(, $more)?>, $handler::<3 $(, $more)?>,
            $handler::<4 $(, $more)?>, $handler::<5 $(, $more)?>, $handler::<6 $(, $more)?>, $handler::<7 $(, $more)?>,
            $handler::<8 $(, $more)?>, $handler::<9 $(, $more)?>, $handler::<10 $(, $more)?>, $handler::<11 $(, $more)?>,
            $handler::<12 $(, $more)?>, $handler::<13 $(, $more)?>, $handler::<14 $(, $more)?>, $handler::<15 $(, $more)?>,
            $handler::<16 $(, $more)?>, $handler::<17 $(, $more)?>, $handler::<18 $(, $more)?>, $handler::<19 $(, $more)?>,
            $handler::<20 $(, $more)?>, $handler::<21 $(, $more)?>, $handler::<22 $(, $more)?>, $handler::<23 $(, $more)?>,
            $handler::<24 $(, $more)?>, $handler::<25 $(, $more)?>, $handler::<26 $(, $more)?>, $handler::<27 $(, $more)?>,
            $handler::<28 $(, $more)?>, $handler::<29 $(, $more)?>, $handler::<30 $(, $more)?>, $handler::<31 $(, $more)?>,
        ]
    };
}

/// The handlers of one width.
pub(crate) fn pick<const N: usize>(handlers: &[ByWidth; N], width: usize) -> [Handler; N] {
    handlers.map(|by_width| by_width[width])
}

pub(crate) use {by_address_and_width, by_form, by_form_and_width, by_kind, by_width, functions};
