/// Runs that looking for a shorter list may take.
const MOST_RUNS: usize = 200;

/// Looks for a shorter list that still breaks a property, and answers it with how; none when `items` do not break it. First
/// the shortest beginning of a doubling length, then without pieces of it (A. Zeller, R. Hildebrandt, Simplifying and
/// Isolating Failure-Inducing Input, 2002).
pub(crate) fn shrink<T: Clone>(
    mut items: Vec<T>,
    mut breaks: impl FnMut(&[T]) -> Option<String>,
) -> Option<(Vec<T>, String)> {
    let mut how = breaks(&items)?;
    let mut length = 1;
    while length < items.len() {
        if let Some(shorter) = breaks(&items[..length]) {
            items.truncate(length);
            how = shorter;
            break;
        }
        length *= 2;
    }
    let mut runs = 0;
    let mut piece = items.len().div_ceil(2);
    while piece > 0 && runs < MOST_RUNS {
        let mut at = 0;
        let mut is_shorter = false;
        while at < items.len() && runs < MOST_RUNS {
            let mut without = items.clone();
            without.drain(at..(at + piece).min(items.len()));
            runs += 1;
            match breaks(&without) {
                Some(shorter) => {
                    (items, how, is_shorter) = (without, shorter, true);
                }
                None => at += piece,
            }
        }
        if piece == 1 && !is_shorter {
            break;
        }
        piece = if piece == 1 { 1 } else { piece.div_ceil(2) };
    }
    Some((items, how))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_matter_is_left_out() {
        let breaks = |items: &[u32]| (items.contains(&3) && items.contains(&7)).then(|| format!("{items:?}"));
        let (items, how) = shrink((0..1000).collect(), breaks).expect("it breaks");
        assert_eq!((items, how), (vec![3, 7], "[3, 7]".to_owned()));
    }

    #[test]
    fn what_holds_is_not_shrunk() {
        assert!(shrink(vec![1, 2], |_: &[u32]| None).is_none());
    }

    #[test]
    fn the_empty_list_is_the_shortest() {
        let (items, _) = shrink(vec![1, 2, 3], |_: &[u32]| Some(String::new())).expect("it breaks");
        assert!(items.is_empty());
    }

    #[test]
    fn runs_are_bounded() {
        let mut runs = 0;
        let every_item_matters = |items: &[u32]| {
            runs += 1;
            (items.len() == 5000).then(String::new)
        };
        assert_eq!(shrink((0..5000).collect(), every_item_matters).map(|(items, _)| items.len()), Some(5000));
        assert!(runs < MOST_RUNS + 20, "{runs}");
    }
}
