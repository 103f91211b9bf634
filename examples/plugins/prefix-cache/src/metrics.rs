/// Sum of a metric over all its labels (vLLM has one for each model), in the text format of Prometheus. Anything else is no number of
/// requests: none.
pub(crate) fn sum(text: &[u8], name: &str) -> Option<u64> {
    let text = String::from_utf8_lossy(text);
    let samples = text.lines().filter_map(|line| {
        let rest = line.strip_prefix(name)?;
        let value = match rest.strip_prefix('{') {
            // A brace may stand in the value of a label, but none follows the last.
            Some(labels) => labels.rsplit_once('}')?.1,
            None => rest.strip_prefix(' ')?,
        };
        let value: f64 = value.split_whitespace().next()?.parse().ok()?;
        (value.is_finite() && value >= 0.0).then_some(value)
    });
    let (count, sum) = samples.fold((0, 0.0), |(count, sum), value| (count + 1, sum + value));
    (count > 0).then_some(sum as u64)
}
