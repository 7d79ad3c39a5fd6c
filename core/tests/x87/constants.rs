//! Constants.

use super::harness::{Row, compare_all};

const ROWS: &[Row] = &[
    ("fld1", &[0xd9, 0xe8]),
    ("fldl2t", &[0xd9, 0xe9]),
    ("fldl2e", &[0xd9, 0xea]),
    ("fldpi", &[0xd9, 0xeb]),
    ("fldlg2", &[0xd9, 0xec]),
    ("fldln2", &[0xd9, 0xed]),
    ("fldz", &[0xd9, 0xee]),
];

#[test]
fn agrees_with_the_host() {
    compare_all(ROWS, 500);
}
