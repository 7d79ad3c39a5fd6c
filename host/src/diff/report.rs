//! A finding as text.

use iced_x86::{Formatter, IntelFormatter};

use super::Finding;
use crate::report::human::count;

/// The report, ending in a newline.
pub fn report(finding: &Finding) -> String {
    let Finding { site, instructions, differences } = finding;
    let mut formatter = IntelFormatter::new();
    let mut text = String::new();
    formatter.format(&site.instruction, &mut text);
    let mnemonic = format!("{:?}", site.instruction.mnemonic()).to_uppercase();
    let mut page = format!(
        "monovisor: the engines differ after {} instructions\n  at {:#x}: {text} (CPL {})\n\n  \
         {:<20} {:<36} kvm\n",
        count(*instructions),
        site.rip,
        site.cpl,
        "",
        "interpreter"
    );
    for difference in differences {
        page.push_str(&format!(
            "  {:<20} {:<36} {}\n",
            difference.what, difference.interpreter, difference.kvm
        ));
    }
    page.push_str(&format!("\n  see: SDM, Instruction Set Reference, {mnemonic}\n"));
    page
}

#[cfg(test)]
mod tests {
    use iced_x86::{Decoder, DecoderOptions};

    use super::*;
    use crate::diff::{Difference, Site};

    #[test]
    fn a_report_names_instruction_values_and_manual() {
        let instruction = Decoder::with_ip(64, b"\x01\xc8", 0x1000, DecoderOptions::NONE).decode();
        let differences = vec![Difference {
            what: "rax".to_owned(),
            interpreter: "0x1".to_owned(),
            kvm: "0x2".to_owned(),
        }];
        let site = Site { rip: 0x1000, cpl: 0, instruction };
        let told = report(&Finding { site, instructions: 1234, differences });
        for words in ["after 1,234 instructions", "at 0x1000: add eax,", "0x2", "Reference, ADD"] {
            assert!(told.contains(words), "{told}");
        }
    }
}
