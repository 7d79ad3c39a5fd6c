//! Integer arithmetic, comparisons and logic, packing and unpacking of `sse` on three operands and on
//! 256 bits, where packs and unpacks stay within each half.

use super::super::sse::integer::*;
use super::super::sse::pack::*;
use super::super::sse::sse4_1::*;
use super::super::sse::sse4_2::Pcmpgtq;
use super::super::sse::ssse3::*;
use super::handler::{frequent, lanes, lanes_by_bits, low};
use super::rows;

rows! {
    Vpaddb => frequent::<Paddb>, Vpaddw => frequent::<Paddw>,
    Vpaddd => frequent::<Paddd>, Vpaddq => frequent::<Paddq>,
    Vpsubb => frequent::<Psubb>, Vpsubw => frequent::<Psubw>,
    Vpsubd => frequent::<Psubd>, Vpsubq => frequent::<Psubq>,
    Vpaddsb => lanes::<Paddsb>, Vpaddsw => lanes::<Paddsw>,
    Vpaddusb => lanes::<Paddusb>, Vpaddusw => lanes::<Paddusw>,
    Vpsubsb => lanes::<Psubsb>, Vpsubsw => lanes::<Psubsw>,
    Vpsubusb => lanes::<Psubusb>, Vpsubusw => lanes::<Psubusw>,
    Vpmullw => lanes::<Pmullw>, Vpmulhw => lanes::<Pmulhw>,
    Vpmulhuw => lanes::<Pmulhuw>, Vpmuludq => lanes::<Pmuludq>,
    Vpmaddwd => lanes::<Pmaddwd>, Vpsadbw => lanes::<Psadbw>,
    Vpavgb => lanes::<Pavgb>, Vpavgw => lanes::<Pavgw>,
    Vpminub => frequent::<Pminub>, Vpmaxub => lanes::<Pmaxub>,
    Vpminsw => lanes::<Pminsw>, Vpmaxsw => lanes::<Pmaxsw>,
    Vpcmpeqb => frequent::<Pcmpeqb>, Vpcmpeqw => frequent::<Pcmpeqw>,
    Vpcmpeqd => frequent::<Pcmpeqd>, Vpcmpgtb => lanes::<Pcmpgtb>,
    Vpcmpgtw => lanes::<Pcmpgtw>, Vpcmpgtd => lanes::<Pcmpgtd>,
    Vpand => frequent::<And>, Vandps => frequent::<And>, Vandpd => frequent::<And>,
    Vpandn => frequent::<AndNot>, Vandnps => frequent::<AndNot>, Vandnpd => frequent::<AndNot>,
    Vpor => frequent::<Or>, Vorps => frequent::<Or>, Vorpd => frequent::<Or>,
    Vpxor => frequent::<Xor>, Vxorps => frequent::<Xor>, Vxorpd => frequent::<Xor>,

    Vpacksswb => lanes::<Packsswb>, Vpackssdw => lanes::<Packssdw>,
    Vpackuswb => lanes::<Packuswb>,
    Vpunpcklbw => lanes::<Punpcklbw>, Vpunpcklwd => lanes::<Punpcklwd>,
    Vpunpckldq => lanes::<Punpckldq>, Vpunpcklqdq => lanes::<Punpcklqdq>,
    Vpunpckhbw => lanes::<Punpckhbw>, Vpunpckhwd => lanes::<Punpckhwd>,
    Vpunpckhdq => lanes::<Punpckhdq>, Vpunpckhqdq => lanes::<Punpckhqdq>,
    Vunpcklps => lanes::<Punpckldq>, Vunpcklpd => lanes::<Punpcklqdq>,
    Vunpckhps => lanes::<Punpckhdq>, Vunpckhpd => lanes::<Punpckhqdq>,

    Vphaddw => lanes::<Phaddw>, Vphaddd => lanes::<Phaddd>, Vphaddsw => lanes::<Phaddsw>,
    Vphsubw => lanes::<Phsubw>, Vphsubd => lanes::<Phsubd>, Vphsubsw => lanes::<Phsubsw>,
    Vpsignb => lanes::<Psignb>, Vpsignw => lanes::<Psignw>, Vpsignd => lanes::<Psignd>,
    Vpabsb => lanes::<Pabsb>, Vpabsw => lanes::<Pabsw>, Vpabsd => lanes::<Pabsd>,
    Vpmaddubsw => lanes::<Pmaddubsw>, Vpmulhrsw => lanes::<Pmulhrsw>,


    Vpminsb => lanes::<Pminsb>, Vpmaxsb => lanes::<Pmaxsb>,
    Vpminuw => lanes::<Pminuw>, Vpmaxuw => lanes::<Pmaxuw>,
    Vpminsd => lanes::<Pminsd>, Vpmaxsd => lanes::<Pmaxsd>,
    Vpminud => lanes::<Pminud>, Vpmaxud => lanes::<Pmaxud>,
    Vpmulld => lanes::<Pmulld>, Vpmuldq => lanes::<Pmuldq>,
    Vpcmpeqq => lanes::<Pcmpeqq>, Vpcmpgtq => lanes::<Pcmpgtq>,
    Vpackusdw => lanes::<Packusdw>,
    Vphminposuw => low::<Phminposuw>,
    Vmpsadbw => lanes_by_bits::<Mpsadbw, 3>,
}
