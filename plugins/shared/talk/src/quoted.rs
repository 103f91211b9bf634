/// More of what a peer says is not told.
const MOST_QUOTED: usize = 120;

/// What a peer said, for a verdict: its beginning, in quotes, without what cannot be printed. When a word of one of `secrets` is
/// in it, it is not told at all: peers say back what they are sent.
pub fn quoted(said: &[u8], secrets: &[&str]) -> String {
    let text: String = String::from_utf8_lossy(said).chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let mut words = secrets.iter().flat_map(|secret| secret.split_whitespace());
    if words.any(|word| text.contains(word)) {
        return "words with a credential in them, which are not told".to_owned();
    }
    let text = text.trim();
    match text.char_indices().nth(MOST_QUOTED) {
        Some((end, _)) => format!("`{}…`", &text[..end]),
        None => format!("`{text}`"),
    }
}
