//! The 8259A pair against its data sheet.

use super::Pic;

/// Vectors 0x20 and 0x28, as nearly every system programs them; all inputs unmasked.
fn programmed(icw4: u8) -> Pic {
    let mut pic = Pic::default();
    for (chip, base, icw3) in [(0, 0x20, 4), (2, 0x28, 2)] {
        pic.write(chip, 0x11);
        pic.write(chip + 1, base);
        pic.write(chip + 1, icw3);
        pic.write(chip + 1, icw4);
        pic.write(chip + 1, 0);
    }
    pic
}

/// Raises each of `lines` in order and serves them to the end; the vectors in order of service.
fn serve(pic: &mut Pic, lines: &[u8]) -> Vec<u8> {
    for &line in lines {
        pic.set_line(line, true);
    }
    let mut vectors = Vec::new();
    while pic.interrupt_requested() {
        let vector = pic.acknowledge();
        vectors.push(vector);
        if vector >= 0x28 {
            pic.write(2, 0x20);
        }
        pic.write(0, 0x20);
    }
    vectors
}

#[test]
fn requests_are_served_by_priority_with_the_second_chip_in_third_place() {
    let table: &[(&[u8], &[u8])] = &[
        (&[], &[]),
        (&[4], &[0x24]),
        (&[7, 3, 0], &[0x20, 0x23, 0x27]),
        (&[3, 8, 15, 1], &[0x21, 0x28, 0x2f, 0x23]),
        (&[12, 9], &[0x29, 0x2c]),
    ];
    for (lines, vectors) in table {
        assert_eq!(serve(&mut programmed(1), lines), *vectors, "lines {lines:?}");
    }
}

#[test]
fn a_masked_request_waits() {
    let mut pic = programmed(1);
    pic.write(1, 0x10);
    pic.set_line(4, true);
    assert!(!pic.interrupt_requested());
    pic.write(1, 0);
    assert_eq!(pic.acknowledge(), 0x24);
}

#[test]
fn an_interrupt_in_service_holds_back_its_equals_and_lowers() {
    let mut pic = programmed(1);
    pic.set_line(4, true);
    pic.acknowledge();
    pic.set_line(5, true);
    pic.set_line(4, false);
    pic.set_line(4, true);
    assert!(!pic.interrupt_requested());
    pic.set_line(3, true);
    assert_eq!(pic.acknowledge(), 0x23, "a higher one nests");
    pic.write(0, 0x20);
    pic.write(0, 0x20);
    assert_eq!(pic.acknowledge(), 0x24);
}

#[test]
fn an_edge_counts_once_and_a_level_as_long_as_it_lasts() {
    let mut pic = programmed(1);
    pic.set_line(5, true);
    pic.acknowledge();
    pic.write(0, 0x20);
    assert!(!pic.interrupt_requested(), "the line is still high, but there was one edge");
    pic.write(4, 0x20);
    assert_eq!(pic.read(4), 0x20);
    assert!(pic.interrupt_requested(), "level-triggered now");
    pic.acknowledge();
    pic.write(0, 0x20);
    assert!(pic.interrupt_requested());
    pic.set_line(5, false);
    assert!(!pic.interrupt_requested());
}

#[test]
fn edge_level_control_keeps_the_fixed_lines_edge_triggered() {
    let mut pic = programmed(1);
    pic.write(4, 0xff);
    pic.write(5, 0xff);
    assert_eq!((pic.read(4), pic.read(5)), (0xf8, 0xde));
}

#[test]
fn a_request_that_has_gone_is_spurious() {
    let mut pic = programmed(1);
    assert_eq!(pic.acknowledge(), 0x27);
    pic.write(0, 0x0b);
    assert_eq!(pic.read(0), 0, "a spurious interrupt is not in service");

    pic.write(5, 0x02);
    pic.set_line(9, true);
    pic.first_sees_cascade_although_the_request_goes();
    assert_eq!(pic.acknowledge(), 0x2f);
    assert_eq!(pic.read(0), 0x04, "the first chip did serve its cascade input");
}

impl Pic {
    /// Between the processor's look at INTR and its acknowledgement, the line falls.
    fn first_sees_cascade_although_the_request_goes(&mut self) {
        self.second.set_input(1, false);
    }
}

#[test]
fn automatic_end_of_interrupt_leaves_nothing_in_service() {
    let mut pic = programmed(3);
    pic.set_line(4, true);
    assert_eq!(pic.acknowledge(), 0x24);
    pic.write(0, 0x0b);
    assert_eq!(pic.read(0), 0);
    pic.set_line(5, true);
    assert_eq!(pic.acknowledge(), 0x25);
}

#[test]
fn rotation_moves_the_lowest_priority() {
    // (OCW2, line raised and acknowledged before it, the winner of 3, 4 and 5 afterwards)
    let table = [
        (0x20, 4, 0x23), // non-specific EOI: no rotation
        (0xa0, 4, 0x25), // rotate on non-specific EOI
        (0xe4, 4, 0x25), // rotate on specific EOI
        (0x64, 4, 0x23), // specific EOI
    ];
    for (ocw2, served, winner) in table {
        let mut pic = programmed(1);
        pic.set_line(served, true);
        pic.acknowledge();
        pic.set_line(served, false);
        pic.write(0, ocw2);
        for line in [3, 4, 5] {
            pic.set_line(line, true);
        }
        assert_eq!(pic.acknowledge(), winner, "OCW2 {ocw2:#x}");
    }
    let mut pic = programmed(1);
    pic.write(0, 0xc3);
    for line in [3, 4] {
        pic.set_line(line, true);
    }
    assert_eq!(pic.acknowledge(), 0x24, "set priority: 3 is the lowest");
}

#[test]
fn rotation_on_automatic_eoi_can_be_switched() {
    let mut pic = programmed(3);
    pic.write(0, 0x80);
    pic.set_line(3, true);
    pic.acknowledge();
    pic.set_line(3, false);
    pic.set_line(3, true);
    pic.set_line(4, true);
    assert_eq!(pic.acknowledge(), 0x24);
    pic.write(0, 0x00);
}

#[test]
fn special_mask_mode_lets_lower_priorities_through() {
    let mut pic = programmed(1);
    pic.set_line(3, true);
    pic.acknowledge();
    pic.write(1, 0x08);
    pic.set_line(6, true);
    assert!(!pic.interrupt_requested());
    pic.write(0, 0x68);
    assert_eq!(pic.acknowledge(), 0x26);
    pic.write(0, 0x48);
    pic.set_line(7, true);
    assert!(!pic.interrupt_requested());
}

#[test]
fn special_fully_nested_mode_lets_the_second_chip_nest() {
    for (icw4, nests) in [(0x01, false), (0x11, true)] {
        let mut pic = programmed(icw4);
        pic.set_line(12, true);
        assert_eq!(pic.acknowledge(), 0x2c);
        pic.set_line(9, true);
        assert_eq!(pic.interrupt_requested(), nests, "ICW4 {icw4:#x}");
    }
}

#[test]
fn polling_acknowledges() {
    let mut pic = programmed(1);
    pic.write(0, 0x0c);
    assert_eq!(pic.read(0), 0, "no request");
    pic.set_line(6, true);
    pic.write(0, 0x0c);
    assert_eq!(pic.read(0), 0x86);
    pic.write(0, 0x0b);
    assert_eq!(pic.read(0), 0x40, "in service");
}

#[test]
fn registers_read_as_ocw3_chose_and_icw1_clears_them() {
    let mut pic = programmed(1);
    pic.set_line(1, true);
    pic.set_line(4, true);
    assert_eq!(pic.read(0), 0x12, "IRR after ICW1");
    pic.acknowledge();
    pic.write(0, 0x0b);
    assert_eq!(pic.read(0), 0x02, "ISR");
    pic.write(0, 0x0a);
    assert_eq!(pic.read(0), 0x10, "IRR");
    pic.write(1, 0x55);
    assert_eq!(pic.read(1), 0x55);
    pic.write(0, 0x11);
    assert_eq!((pic.read(0), pic.read(1)), (0, 0), "latched edges and the mask are gone");
}

#[test]
fn a_single_chip_without_icw4_expects_one_word() {
    let mut pic = Pic::default();
    pic.write(0, 0x12);
    pic.write(1, 0x47);
    pic.write(1, 0xfe);
    assert_eq!(pic.read(1), 0xfe, "the mask, after ICW2 alone");
    pic.set_line(0, true);
    assert_eq!(pic.acknowledge(), 0x40);
}

#[test]
fn icw1_makes_all_inputs_level_triggered() {
    let mut pic = Pic::default();
    pic.set_line(1, true);
    pic.write(0, 0x1a);
    pic.write(1, 0x20);
    assert_eq!(pic.acknowledge(), 0x21);
    pic.write(0, 0x20);
    assert!(pic.interrupt_requested());
}
