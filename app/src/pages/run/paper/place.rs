//! Where a row lies in the panel's scrolled height, and which row a scroll position means.
//!
//! Browsers scroll a few ten million pixels at most. A longer log is mapped: what the scroll bar says is then a share of the log, and
//! pixels are told by the rows that are drawn. Refuses to know how high a wrapped line is; it says where a row lies about.

/// Height of a row that is not wrapped.
pub const ROW: f64 = 20.0;
/// Most that is scrolled; Firefox ends at about 17.8 million.
const MOST: f64 = 12_000_000.0;

/// The panel: how many rows there are and how much of them it shows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Place {
    /// Rows in all.
    pub rows: u64,
    /// Height of the panel.
    pub view: f64,
    /// Height of a row, on average.
    pub row: f64,
}

impl Place {
    /// The height that is scrolled.
    pub fn height(self) -> f64 {
        (self.rows as f64 * self.row).min(MOST)
    }

    fn is_mapped(self) -> bool {
        self.rows as f64 * self.row > MOST
    }

    /// The row at the panel's upper edge, and how many pixels of it are above the edge.
    pub fn at(self, top: f64) -> (u64, f64) {
        let row = if self.is_mapped() {
            let last = self.rows as f64 - self.view / self.row;
            (top / (MOST - self.view)).clamp(0.0, 1.0) * last
        } else {
            top / self.row
        };
        let whole = (row.max(0.0) as u64).min(self.rows.saturating_sub(1));
        (whole, ((row - whole as f64) * self.row).clamp(0.0, self.row))
    }

    /// The scroll position at which a row, less some of its pixels, is at the upper edge.
    pub fn top(self, row: u64, off: f64) -> f64 {
        let row = row as f64 + (off / self.row).min(1.0);
        let end = (self.height() - self.view).max(0.0);
        if self.is_mapped() {
            (row / (self.rows as f64 - self.view / self.row) * end).clamp(0.0, end)
        } else {
            (row * self.row).clamp(0.0, end)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_log_is_scrolled_pixel_by_pixel() {
        let place = Place { rows: 1_000, view: 600.0, row: ROW };
        assert_eq!((place.height(), place.at(0.0), place.at(405.0)), (20_000.0, (0, 0.0), (20, 5.0)));
        assert_eq!(place.top(20, 5.0), 405.0);
        assert_eq!(place.top(999, 0.0), 19_400.0, "the end is as far as it goes");
    }

    #[test]
    fn any_row_of_ten_million_is_within_reach() {
        for rows in [1_000_000, 10_000_000] {
            let place = Place { rows, view: 600.0, row: ROW };
            assert_eq!(place.height(), MOST);
            assert_eq!(place.at(0.0).0, 0);
            assert_eq!(place.at(MOST - 600.0).0, rows - 30, "at the end the last row is at the lower edge");
            for row in [1, rows / 3, rows / 2, rows - 31] {
                let (there, off) = place.at(place.top(row, 0.0));
                assert!(there == row || (there == row - 1 && off > ROW - 0.01), "{row} {there} {off}");
            }
        }
    }

    #[test]
    fn nothing_is_somewhere() {
        let place = Place { rows: 0, view: 600.0, row: ROW };
        assert_eq!((place.height(), place.at(100.0).0, place.top(0, 0.0)), (0.0, 0, 0.0));
    }
}
