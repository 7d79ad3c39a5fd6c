//! How configuration values are written, the same in flags, environment and file.

use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, de};

use super::{Accel, CpuModel, DebugExit, DiskImage, EntryMode, Flat, SerialTarget};

/// A number of bytes: `4096`, `512K`, `128M`, `1G`, each also with `iB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByteSize(pub u64);

/// A length of time: `10s`, `500ms`, `2m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeSpan(pub Duration);

impl FromStr for ByteSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (number, unit) = split_unit(text);
        let shift = match unit.strip_suffix("iB").unwrap_or(unit) {
            "" => Some(0),
            "K" | "k" => Some(10),
            "M" | "m" => Some(20),
            "G" | "g" => Some(30),
            _ => None,
        };
        let bytes = shift
            .zip(number.parse::<u64>().ok())
            .and_then(|(shift, number)| number.checked_mul(1 << shift));
        bytes.map(Self).ok_or_else(|| format!("`{text}` is not a size such as 128M or 1G"))
    }
}

impl FromStr for TimeSpan {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (number, unit) = split_unit(text);
        let unit_ms = match unit {
            "ms" => Some(1),
            "s" => Some(1000),
            "m" | "min" => Some(60_000),
            _ => None,
        };
        let span_ms = unit_ms
            .zip(number.parse::<u64>().ok())
            .and_then(|(unit_ms, number)| number.checked_mul(unit_ms));
        span_ms
            .filter(|&span_ms| span_ms > 0)
            .map(|span_ms| Self(Duration::from_millis(span_ms)))
            .ok_or_else(|| format!("`{text}` is not a length of time such as 10s, 500ms or 2m"))
    }
}

impl FromStr for Accel {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "interp" => Ok(Self::Interp),
            "kvm" => Ok(Self::Kvm),
            _ => Err(format!("`{text}` is not one of auto, interp, kvm")),
        }
    }
}

impl FromStr for CpuModel {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "host" => Ok(Self::Host),
            "baseline" => Ok(Self::Baseline),
            _ => Err(format!("`{text}` is not one of host, baseline")),
        }
    }
}

impl FromStr for DebugExit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "qemu" => Ok(Self::Qemu),
            "raw" => Ok(Self::Raw),
            _ => Err(format!("`{text}` is not one of qemu, raw")),
        }
    }
}

impl FromStr for SerialTarget {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match (text, text.strip_prefix("file:")) {
            ("stdio", _) => Ok(Self::Stdio),
            ("null", _) => Ok(Self::Null),
            (_, Some(path)) if !path.is_empty() => Ok(Self::File(path.into())),
            _ => Err(format!("`{text}` is not one of stdio, null, file:PATH")),
        }
    }
}

/// `FILE[,ro]`.
impl FromStr for DiskImage {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (path, read_only) = match text.strip_suffix(",ro") {
            Some(path) => (path, true),
            None => (text, false),
        };
        if path.is_empty() {
            return Err("a disk is a file, such as disk.img or disk.img,ro".into());
        }
        Ok(Self { path: path.into(), read_only })
    }
}

/// `ADDRESS[:real|protected|long]`; the image is entered at its first byte.
impl FromStr for Flat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (address, mode) = text.split_once(':').unwrap_or((text, "real"));
        let mode = match mode {
            "real" => EntryMode::Real,
            "protected" => EntryMode::Protected,
            "long" => EntryMode::Long,
            _ => return Err(format!("`{mode}` is not one of real, protected, long")),
        };
        let parsed = match address.strip_prefix("0x") {
            Some(digits) => u64::from_str_radix(digits, 16),
            None => address.parse(),
        };
        let load_address =
            parsed.map_err(|_| format!("`{address}` is not an address such as 0x7c00"))?;
        Ok(Self { load_address, entry: load_address, mode })
    }
}

fn split_unit(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()))
}

macro_rules! deserialize_as_written {
    ($($type:ty),*) => {$(
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
            }
        }
    )*};
}

deserialize_as_written!(
    ByteSize,
    TimeSpan,
    Accel,
    CpuModel,
    DebugExit,
    SerialTarget,
    DiskImage,
    Flat
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        let table = [
            ("0", Some(0)),
            ("4096", Some(4096)),
            ("512K", Some(512 << 10)),
            ("128M", Some(128 << 20)),
            ("128MiB", Some(128 << 20)),
            ("1G", Some(1 << 30)),
            ("", None),
            ("M", None),
            ("-1", None),
            ("1.5G", None),
            ("1T", None),
            ("99999999999999G", None),
        ];
        for (text, expected) in table {
            assert_eq!(text.parse().ok().map(|ByteSize(bytes)| bytes), expected, "{text}");
        }
    }

    #[test]
    fn times() {
        let table = [
            ("10s", Some(10_000)),
            ("500ms", Some(500)),
            ("2m", Some(120_000)),
            ("0s", None),
            ("5", None),
            ("1h", None),
            ("18446744073709551615m", None),
        ];
        for (text, expected) in table {
            let parsed = text.parse().ok().map(|TimeSpan(span)| span.as_millis());
            assert_eq!(parsed, expected, "{text}");
        }
    }

    #[test]
    fn disks() {
        let disk = |path: &str, read_only| DiskImage { path: path.into(), read_only };
        let table = [
            ("disk.img", Some(disk("disk.img", false))),
            ("disk.img,ro", Some(disk("disk.img", true))),
            ("a,b", Some(disk("a,b", false))),
            ("", None),
            (",ro", None),
        ];
        for (text, expected) in table {
            assert_eq!(text.parse().ok(), expected, "{text}");
        }
    }

    #[test]
    fn flat_images() {
        let flat = |load_address, mode| Flat { load_address, entry: load_address, mode };
        let table = [
            ("0x7c00", Some(flat(0x7c00, EntryMode::Real))),
            ("4096:long", Some(flat(4096, EntryMode::Long))),
            ("0x100000:protected", Some(flat(0x10_0000, EntryMode::Protected))),
            ("0x7c00:", None),
            (":long", None),
            ("7c00", None),
            ("0x1ffffffffffffffff", None),
        ];
        for (text, expected) in table {
            assert_eq!(text.parse().ok(), expected, "{text}");
        }
    }
}
