//! How long is waited before something that went wrong is tried again.

/// The pause after so many tries in a row, in milliseconds: the shortest, doubled each time, up to the longest.
pub(crate) fn growing(tries: impl Into<i64>, (shortest, longest): (i64, i64)) -> i64 {
    (shortest << tries.into().clamp(0, 20)).min(longest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_the_longest() {
        let pauses = [0, 1, 5, 6, 1_000].map(|tries| growing(tries, (1_000, 60_000)));
        assert_eq!(pauses, [1_000, 2_000, 32_000, 60_000, 60_000]);
    }
}
