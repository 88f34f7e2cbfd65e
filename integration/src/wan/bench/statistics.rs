//! Medians, and how sure they are: no shape of the distribution is assumed.

/// The median; `NaN` of nothing.
pub fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    quantile(values, 0.5)
}

/// The value that this part of them does not exceed, between two of them where it falls there.
pub fn quantile(values: impl IntoIterator<Item = f64>, part: f64) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let Some(last) = values.len().checked_sub(1) else { return f64::NAN };
    let place = part * last as f64;
    let (below, above) = (values[place.floor() as usize], values[place.ceil() as usize]);
    below + (above - below) * place.fract()
}

/// Where the true median lies, and how probably.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// Its lower end.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
    /// The probability.
    pub confidence: f64,
}

/// The narrowest interval between two order statistics, as far from either end, that has the true
/// median in it with 95 % probability; from the least to the greatest where they are too few for
/// that. (Of n independent values so many lie below the median as coins fall on one side.)
pub fn median_interval(values: impl IntoIterator<Item = f64>) -> Option<Interval> {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let count = values.len();
    let mut best = None;
    for outside in 0..count.div_ceil(2) {
        let confidence = 1.0 - 2.0 * at_most_heads(outside, count);
        if outside > 0 && confidence < 0.95 {
            break;
        }
        let (low, high) = (values[outside], values[count - 1 - outside]);
        best = Some(Interval { low, high, confidence: confidence.max(0.0) });
    }
    best
}

/// The probability that of `coins` coins at most `heads` show heads.
fn at_most_heads(heads: usize, coins: usize) -> f64 {
    let mut ways = 1.0;
    let mut sum = 0.0;
    for k in 0..=heads {
        sum += ways;
        ways = ways * (coins - k) as f64 / (k + 1) as f64;
    }
    sum / (coins as f64).exp2()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_is_the_middle_one_or_between_the_two() {
        assert_eq!(median([3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median([4.0, 1.0]), 2.5);
        assert!(median([]).is_nan());
        assert_eq!(quantile([0.0, 10.0, 20.0], 0.75), 15.0);
    }

    #[test]
    fn the_interval_of_nine_is_from_the_second_to_the_eighth() {
        // The published table of order-statistic intervals: n = 9, 2nd and 8th, 96.1 %.
        let interval = median_interval((1..=9).map(f64::from)).unwrap();
        assert_eq!((interval.low, interval.high), (2.0, 8.0));
        assert!((interval.confidence - 0.961).abs() < 0.001, "{interval:?}");
        // n = 20, 6th and 15th, 95.9 %.
        let interval = median_interval((1..=20).map(f64::from)).unwrap();
        assert_eq!((interval.low, interval.high), (6.0, 15.0));
        assert!((interval.confidence - 0.959).abs() < 0.001, "{interval:?}");
    }

    #[test]
    fn few_values_give_their_range_and_say_how_little_that_is() {
        let interval = median_interval([1.0, 2.0, 3.0]).unwrap();
        assert_eq!((interval.low, interval.high, interval.confidence), (1.0, 3.0, 0.75));
        assert_eq!(median_interval([7.0]).unwrap().confidence, 0.0);
        assert_eq!(median_interval([]), None);
    }
}
