use std::borrow::Cow;
use std::fmt::Write as _;

/// Text from strangers, such as plugins, as it may stand in a line for people: what would end the line, steer a terminal,
/// or turn the direction of what follows is written out, as `\n` or `\u{1b}`.
pub fn printable(text: &str) -> Cow<'_, str> {
    if !text.contains(is_unprintable) {
        return text.into();
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        match character {
            '\n' => safe.push_str("\\n"),
            '\r' => safe.push_str("\\r"),
            '\t' => safe.push_str("\\t"),
            _ if is_unprintable(character) => {
                // A String takes everything.
                let _ = write!(safe, "\\u{{{:x}}}", u32::from(character));
            }
            _ => safe.push(character),
        }
    }
    safe.into()
}

/// The same for text that has lines: only its line feeds stay.
pub fn printable_lines(text: &str) -> Cow<'_, str> {
    if !text.contains(|character| character != '\n' && is_unprintable(character)) {
        return text.into();
    }
    text.split('\n').map(printable).collect::<Vec<_>>().join("\n").into()
}

/// The same, and at most so many bytes of the text.
pub fn printable_within(text: &str, bytes: usize) -> String {
    let cut = &text[..text.floor_char_boundary(bytes)];
    let mut safe = printable(cut).into_owned();
    if cut.len() < text.len() {
        safe.push_str("...");
    }
    safe
}

/// Control characters, the separators that some readers take for line ends, marks that cannot be seen or turn the direction
/// of text on a screen.
pub fn is_unprintable(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_stays_a_line() {
        assert!(matches!(printable("plain, with é and 漢"), Cow::Borrowed("plain, with é and 漢")));
        assert_eq!(
            printable("a\nb\r\tc\u{1b}[2J\u{85}\u{2028}\u{202e}d"),
            "a\\nb\\r\\tc\\u{1b}[2J\\u{85}\\u{2028}\\u{202e}d"
        );
    }

    #[test]
    fn lines_stay_lines() {
        assert!(matches!(printable_lines("a\nb\n"), Cow::Borrowed("a\nb\n")));
        assert_eq!(printable_lines("a\u{1b}\nb\u{9b}\n"), "a\\u{1b}\nb\\u{9b}\n");
    }

    #[test]
    fn long_text_is_cut_between_characters() {
        assert_eq!(printable_within("short", 5), "short");
        assert_eq!(printable_within("漢漢漢", 7), "漢漢...");
    }
}
