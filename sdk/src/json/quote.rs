/// Appends `text` as a string of JSON.
pub(crate) fn quote(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            ..' ' => {
                out.push_str("\\u00");
                out.extend(char::from_digit(u32::from(c) >> 4, 16));
                out.extend(char::from_digit(u32::from(c) & 15, 16));
            }
            _ => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_quoted_reads_the_same() {
        let text: String = (0..=0x80).chain([0xe9, 0x20ac, 0x1f6a2]).filter_map(char::from_u32).collect();
        let mut json = String::new();
        quote(&mut json, &text);
        assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
    }
}
