use super::number::Number;
use super::pointer::push_step;
use super::{Error, push_decimal};

/// Deeper than any configuration is, and shallow enough for the stack of a plugin.
const DEEPEST: u8 = 64;

/// Reads JSON (RFC 8259) value by value.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    text: &'a str,
    at: usize,
    depth: u8,
    path: String,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self { text, at: 0, depth: 0, path: String::new() }
    }

    /// JSON Pointer to the value that was read last. After an error, that is the one with the mistake.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// The first byte of what is next.
    pub(super) fn peek(&mut self) -> Option<u8> {
        let bytes = self.text.as_bytes();
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = bytes.get(self.at) {
            self.at += 1;
        }
        bytes.get(self.at).copied()
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.text.as_bytes().get(self.at).copied();
        self.at += 1;
        byte
    }

    /// Takes one byte of punctuation.
    pub(super) fn expect(&mut self, byte: u8) -> Result<(), Error> {
        if self.peek() == Some(byte) {
            self.at += 1;
            return Ok(());
        }
        Err(Error::new(match byte {
            b':' => "expected `:`",
            b'}' => "expected `}`",
            _ => "expected a value",
        }))
    }

    /// Takes `true`, `false` or `null`.
    pub(super) fn word(&mut self, word: &str) -> Result<(), Error> {
        let end = self.at + word.len();
        if self.text.as_bytes().get(self.at..end) != Some(word.as_bytes()) {
            return Err(Error::new("expected a value"));
        }
        self.at = end;
        Ok(())
    }

    pub(super) fn string(&mut self) -> Result<String, Error> {
        self.expect(b'"')?;
        let mut string = String::new();
        loop {
            let start = self.at;
            while let Some(0x20..=0x21 | 0x23..=0x5b | 0x5d..) = self.text.as_bytes().get(self.at) {
                self.at += 1;
            }
            string.push_str(self.text.get(start..self.at).unwrap_or_default());
            match self.next() {
                Some(b'"') => return Ok(string),
                Some(b'\\') => string.push(self.escape()?),
                Some(_) => return Err(Error::new("a control character in a string")),
                None => return Err(Error::new("a string has no end")),
            }
        }
    }

    fn escape(&mut self) -> Result<char, Error> {
        let unescaped = match self.next() {
            Some(b'u') => self.unicode(),
            Some(byte @ (b'"' | b'\\' | b'/')) => Some(char::from(byte)),
            Some(b'b') => Some('\x08'),
            Some(b'f') => Some('\x0c'),
            Some(b'n') => Some('\n'),
            Some(b'r') => Some('\r'),
            Some(b't') => Some('\t'),
            _ => None,
        };
        unescaped.ok_or_else(|| Error::new("an escape that JSON does not have"))
    }

    /// The character of `\u`, which takes two of them outside the basic plane.
    fn unicode(&mut self) -> Option<char> {
        let first = self.hex()?;
        if first & 0xfc00 != 0xd800 {
            return char::from_u32(first);
        }
        if (self.next()?, self.next()?) != (b'\\', b'u') {
            return None;
        }
        let second = self.hex()?;
        if second & 0xfc00 != 0xdc00 {
            return None;
        }
        char::from_u32(0x10000 + ((first & 0x3ff) << 10 | second & 0x3ff))
    }

    fn hex(&mut self) -> Option<u32> {
        let mut value = 0;
        for _ in 0..4 {
            value = value << 4 | char::from(self.next()?).to_digit(16)?;
        }
        Some(value)
    }

    pub(super) fn number(&mut self) -> Result<Number<'a>, Error> {
        let start = self.at;
        self.take_if(|byte| *byte == b'-');
        // A zero at the front stands alone.
        let mut fits = self.take_if(|byte| *byte == b'0') || self.digits();
        if self.take_if(|byte| *byte == b'.') {
            fits &= self.digits();
        }
        if self.take_if(|byte| matches!(byte, b'e' | b'E')) {
            self.take_if(|byte| matches!(byte, b'+' | b'-'));
            fits &= self.digits();
        }
        match self.text.get(start..self.at) {
            Some(text) if fits => Ok(Number::new(text)),
            _ => Err(Error::new("expected a number")),
        }
    }

    fn take_if(&mut self, fits: fn(&u8) -> bool) -> bool {
        let is = self.text.as_bytes().get(self.at).is_some_and(fits);
        self.at += usize::from(is);
        is
    }

    /// Whether there was one at least.
    fn digits(&mut self) -> bool {
        let start = self.at;
        while self.take_if(u8::is_ascii_digit) {}
        self.at > start
    }

    /// Begins a list or an object. The answer is the length of the path that leads to it.
    pub(super) fn open(&mut self) -> Result<usize, Error> {
        if self.depth == DEEPEST {
            return Err(Error::new("nested too deeply"));
        }
        self.depth += 1;
        self.at += 1;
        Ok(self.path.len())
    }

    /// Whether another element of the list or object comes before `close`, which is taken.
    pub(super) fn more(&mut self, base: usize, first: bool, close: u8) -> Result<bool, Error> {
        self.path.truncate(base);
        match self.peek() {
            Some(byte) if byte == close => {
                self.at += 1;
                self.depth -= 1;
                Ok(false)
            }
            Some(_) if first => Ok(true),
            Some(b',') => {
                self.at += 1;
                Ok(true)
            }
            _ => Err(Error::new(if close == b']' { "expected `,` or `]`" } else { "expected `,` or `}`" })),
        }
    }

    /// What is read next is the element of that number.
    pub(super) fn step_to_index(&mut self, index: usize) {
        self.path.push('/');
        push_decimal(&mut self.path, index as u64);
    }

    /// What is read next is the member of that name.
    pub(super) fn step_to_key(&mut self, key: &str) {
        push_step(&mut self.path, key);
    }

    /// Passes over a value.
    pub(super) fn skip(&mut self) -> Result<(), Error> {
        match self.peek() {
            Some(b'"') => self.string().map(drop),
            Some(b'-' | b'0'..=b'9') => self.number().map(drop),
            Some(b't') => self.word("true"),
            Some(b'f') => self.word("false"),
            Some(b'n') => self.word("null"),
            Some(b'[') => {
                let base = self.open()?;
                let mut first = true;
                while self.more(base, first, b']')? {
                    first = false;
                    self.skip()?;
                }
                Ok(())
            }
            Some(b'{') => {
                let base = self.open()?;
                let mut first = true;
                while self.more(base, first, b'}')? {
                    first = false;
                    self.string()?;
                    self.expect(b':')?;
                    self.skip()?;
                }
                Ok(())
            }
            _ => Err(Error::new("expected a value")),
        }
    }

    /// Nothing may follow.
    pub(crate) fn end(&mut self) -> Result<(), Error> {
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(Error::new("something follows after the end")),
        }
    }
}
