use super::tokens::Token;

/// A path that begins with `crate`, `super` or `self`, as in the source, with the lists in braces taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Path<'a> {
    pub(super) segments: Vec<&'a str>,
    pub(super) line: usize,
    /// It is in a `pub use`, which only hands on a name.
    pub(super) exported: bool,
}

/// All such paths of a file, and those that begin with one of `children`, its own submodules.
pub(super) fn paths<'a>(tokens: &[Token<'a>], children: &[&str]) -> Vec<Path<'a>> {
    let mut found = Vec::new();
    let mut exporting = false;
    for at in 0..tokens.len() {
        match tokens[at].text {
            "use" => exporting = at > 0 && matches!(tokens[at - 1].text, "pub" | ")"),
            ";" => exporting = false,
            first if ["crate", "super", "self"].contains(&first) || children.contains(&first) => {
                let begins = at == 0 || tokens[at - 1].text != "::";
                let in_list = at > 0 && matches!(tokens[at - 1].text, "{" | ",") && is_in_use_list(tokens, at);
                if begins && !in_list && tokens.get(at + 1).is_some_and(|token| token.text == "::") {
                    let line = tokens[at].line;
                    tree(tokens, at, &mut Vec::new(), &mut |segments| {
                        found.push(Path { segments: segments.to_vec(), line, exported: exporting });
                    });
                }
            }
            _ => {}
        }
    }
    found
}

/// Whether the word at `at` stands in the braces of a path: it is a part of that path then.
fn is_in_use_list(tokens: &[Token<'_>], at: usize) -> bool {
    let mut depth = 0_usize;
    for before in (0..at).rev() {
        match tokens[before].text {
            "}" => depth += 1,
            "{" if depth == 0 => return before > 0 && tokens[before - 1].text == "::",
            "{" => depth -= 1,
            ";" => return false,
            _ => {}
        }
    }
    false
}

/// Follows a path from the word at `at`, into every branch of its braces. Answers where it ends.
fn tree<'a>(
    tokens: &[Token<'a>],
    mut at: usize,
    segments: &mut Vec<&'a str>,
    found: &mut impl FnMut(&[&'a str]),
) -> usize {
    let depth = segments.len();
    while let Some(token) = tokens.get(at) {
        if token.text == "{" {
            at += 1;
            while tokens.get(at).is_some_and(|token| token.text != "}") {
                let before = at;
                at = tree(tokens, at, segments, found);
                while tokens.get(at).is_some_and(|token| !matches!(token.text, "," | "}")) {
                    at += 1;
                }
                if tokens.get(at).is_some_and(|token| token.text == ",") {
                    at += 1;
                }
                debug_assert!(at > before, "every turn goes on");
            }
            segments.truncate(depth);
            return at + 1;
        }
        segments.push(token.text);
        at += 1;
        if tokens.get(at).is_none_or(|token| token.text != "::") {
            break;
        }
        at += 1;
        // `Type::<T>` ends what is of interest.
        if tokens.get(at).is_some_and(|token| token.text == "<") {
            break;
        }
    }
    found(segments);
    segments.truncate(depth);
    at
}

#[cfg(test)]
mod tests {
    use super::super::tokens::tokens;
    use super::*;

    fn found(source: &str, children: &[&str]) -> Vec<String> {
        paths(&tokens(source), children).iter().map(|path| path.segments.join("::")).collect()
    }

    #[test]
    fn lists_are_taken_apart_over_lines() {
        let source =
            "use crate::{\n    a::{self, B},\n    c::d as e,\n    f::*,\n};\nlet x = crate::g::<T>(super::h());";
        assert_eq!(
            found(source, &[]),
            ["crate::a::self", "crate::a::B", "crate::c::d", "crate::f::*", "crate::g", "super::h"]
        );
    }

    #[test]
    fn children_and_exports_are_known() {
        let source = "pub use a::B; use a::C; pub(super) use crate::d::E; fn f() { a::g(); x::a::h() }";
        let all = tokens(source);
        let found = paths(&all, &["a"]);
        let shown: Vec<(String, bool)> = found.iter().map(|path| (path.segments.join("::"), path.exported)).collect();
        let expected = [("a::B", true), ("a::C", false), ("crate::d::E", true), ("a::g", false)];
        assert_eq!(shown, expected.map(|(path, exported)| (path.to_owned(), exported)));
    }
}
