use std::fmt;

/// Why bytes are not the message that they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// They break the protocol. The text says how.
    Malformed(&'static str),
    /// The line with the target is larger than a head may be.
    TargetTooLong,
    /// A head, or trailers, of more bytes than are allowed.
    HeadTooLarge,
    /// More fields than are allowed.
    TooManyFields,
    /// HTTP of a version that is neither 1.0 nor 1.1.
    UnknownVersion,
    /// A transfer coding other than `chunked`, which whoever reads on would have to undo.
    UnknownCoding,
    /// The connection ended in the middle of a message.
    Truncated,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed(how) => how,
            Self::TargetTooLong => "the target is too long",
            Self::HeadTooLarge => "the head is too large",
            Self::TooManyFields => "the head has too many fields",
            Self::UnknownVersion => "not a version of HTTP/1",
            Self::UnknownCoding => "a transfer coding other than chunked",
            Self::Truncated => "the connection ended in the middle of the message",
        })
    }
}

impl std::error::Error for Error {}
