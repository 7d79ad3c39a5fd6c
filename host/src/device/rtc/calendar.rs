//! The Gregorian calendar as a clock chip needs it: seconds since 1970 to fields and back, for the
//! years that two digits and a century can name.

/// A moment in UTC, in the fields of a clock chip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DateTime {
    pub second: u8,
    pub minute: u8,
    pub hour: u8,
    /// 1 is Sunday.
    pub weekday: u8,
    pub day: u8,
    pub month: u8,
    pub year: u16,
}

const DAY_SECONDS: i64 = 86_400;
/// Days of a 400-year cycle of the calendar.
const CYCLE_DAYS: i64 = 146_097;
/// Days from 1 March of year 0 to 1 January 1970.
const EPOCH_DAYS: i64 = 719_468;

impl DateTime {
    /// The moment `seconds` after the start of 1970.
    pub fn from_unix(seconds: i64) -> Self {
        let days = seconds.div_euclid(DAY_SECONDS);
        let of_day = seconds.rem_euclid(DAY_SECONDS);
        // Years start in March here, so the leap day is the last one and months have a pattern.
        let shifted = days + EPOCH_DAYS;
        let cycle = shifted.div_euclid(CYCLE_DAYS);
        let day_of_cycle = shifted.rem_euclid(CYCLE_DAYS);
        let year_of_cycle = (day_of_cycle - day_of_cycle / 1460 + day_of_cycle / 36_524
            - day_of_cycle / 146_096)
            / 365;
        let day_of_year =
            day_of_cycle - (365 * year_of_cycle + year_of_cycle / 4 - year_of_cycle / 100);
        let march_month = (5 * day_of_year + 2) / 153;
        let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
        let year = 400 * cycle + year_of_cycle + i64::from(month <= 2);
        Self {
            second: (of_day % 60) as u8,
            minute: (of_day / 60 % 60) as u8,
            hour: (of_day / 3600) as u8,
            weekday: ((days + 4).rem_euclid(7) + 1) as u8,
            day: (day_of_year - (153 * march_month + 2) / 5 + 1) as u8,
            month: month as u8,
            year: year.clamp(0, 9999) as u16,
        }
    }

    /// Seconds since the start of 1970. Fields out of their range carry over; the weekday is not
    /// looked at.
    pub fn to_unix(self) -> i64 {
        let month = i64::from(self.month.clamp(1, 12));
        let year = i64::from(self.year) - i64::from(month <= 2);
        let cycle = year.div_euclid(400);
        let year_of_cycle = year.rem_euclid(400);
        let march_month = (month + 9) % 12;
        let day_of_year = (153 * march_month + 2) / 5 + i64::from(self.day) - 1;
        let day_of_cycle =
            year_of_cycle * 365 + year_of_cycle / 4 - year_of_cycle / 100 + day_of_year;
        let days = cycle * CYCLE_DAYS + day_of_cycle - EPOCH_DAYS;
        let of_day =
            i64::from(self.hour) * 3600 + i64::from(self.minute) * 60 + i64::from(self.second);
        days * DAY_SECONDS + of_day
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_moments_have_known_fields() {
        let table = [
            (0, (0, 0, 0, 5, 1, 1, 1970)),
            (946_684_800, (0, 0, 0, 7, 1, 1, 2000)),
            (951_827_696, (56, 34, 12, 3, 29, 2, 2000)),
            (1_709_251_199, (59, 59, 23, 5, 29, 2, 2024)),
            (4_107_542_400, (0, 0, 0, 2, 1, 3, 2100)),
        ];
        for (seconds, (second, minute, hour, weekday, day, month, year)) in table {
            let date = DateTime { second, minute, hour, weekday, day, month, year };
            assert_eq!(DateTime::from_unix(seconds), date);
            assert_eq!(date.to_unix(), seconds);
        }
    }

    #[test]
    fn every_day_of_four_centuries_survives_both_ways() {
        for day in 0..CYCLE_DAYS {
            let seconds = day * DAY_SECONDS + 12_345;
            assert_eq!(DateTime::from_unix(seconds).to_unix(), seconds);
        }
    }
}
