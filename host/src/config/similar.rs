/// The name that was probably meant by another one, if there is one that is not far from it.
pub fn similar<'a>(name: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let close = names.into_iter().map(|known| (strsim::damerau_levenshtein(name, known), known)).min();
    close.filter(|(distance, _)| *distance <= 2.max(name.len() / 3)).map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_near_was_meant() {
        let names = ["round-robin", "random", "maglev"];
        assert_eq!(similar("roundrobin", names), Some("round-robin"));
        assert_eq!(similar("magelv", names), Some("maglev"));
        assert_eq!(similar("least-time", names), None);
        assert_eq!(similar("x", []), None);
    }
}
