//! Windowed maxima, in constant space.

/// The greatest of the values of late: Kathleen Nichols' filter, which keeps the best three.
///
/// The first is the answer. The second and the third are the best since it and since the second, so
/// that when the first grows too old there is a younger one to take its place. Time is whatever the
/// owner counts.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct WindowedMax {
    best: [Measured; 3],
}

#[derive(Clone, Copy, Debug, Default)]
struct Measured {
    at: u64,
    value: u64,
}

impl WindowedMax {
    pub(crate) fn get(&self) -> u64 {
        self.best[0].value
    }

    /// Takes a value measured at `at`, which does not go back, and forgets those more than `window`
    /// older.
    pub(crate) fn update(&mut self, window: u64, at: u64, value: u64) -> u64 {
        let new = Measured { at, value };
        let [first, second, third] = &mut self.best;
        if value >= first.value || at - third.at > window {
            self.best = [new; 3];
            return value;
        }
        if value >= second.value {
            (*second, *third) = (new, new);
        } else if value >= third.value {
            *third = new;
        }
        let age = at - first.at;
        if age > window {
            self.best = [*second, *third, new];
            let [first, second, third] = self.best;
            if at - first.at > window {
                self.best = [second, third, new];
            }
        } else if second.at == first.at && age > window / 4 {
            // A quarter of the window without a second best: what is there now is.
            (*second, *third) = (new, new);
        } else if third.at == second.at && age > window / 2 {
            *third = new;
        }
        self.get()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_maximum_lasts_its_window_and_gives_way_to_the_best_since() {
        let mut filter = WindowedMax::default();
        assert_eq!(filter.update(10, 0, 100), 100);
        for at in 1..=10 {
            assert_eq!(filter.update(10, at, 50 + at), 100, "at {at}");
        }
        assert_eq!(filter.update(10, 11, 20), 60);
        assert_eq!(filter.update(10, 12, 70), 70, "a new maximum counts at once");
    }

    #[test]
    fn after_a_long_silence_only_what_is_new_counts() {
        let mut filter = WindowedMax::default();
        filter.update(10, 0, 100);
        assert_eq!(filter.update(10, 30, 5), 5);
    }

    proptest! {
        #[test]
        fn the_answer_is_a_value_of_the_window_and_none_after_it_is_greater(
            steps in prop::collection::vec((0u64..4, 0u64..100), 1..200),
        ) {
            let mut filter = WindowedMax::default();
            let mut seen: Vec<(u64, u64)> = Vec::new();
            let mut now = 0;
            for (pause, value) in steps {
                now += pause;
                seen.push((now, value));
                let answer = filter.update(10, now, value);
                let recent = || seen.iter().filter(|(at, _)| now - at <= 10);
                prop_assert!(recent().any(|(_, value)| *value == answer));
                prop_assert!(answer >= value);
                prop_assert!(answer <= recent().map(|(_, value)| *value).max().unwrap());
            }
        }
    }
}
