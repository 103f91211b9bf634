use std::fmt;

/// What is wrong with a request or an answer, so that its stream is to be ended (RFC 9113 section 8.1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Malformed {
    /// A field name that is empty, not in lower case, or no token (section 8.2.1).
    FieldName,
    /// A field value with a control character (section 8.2.1).
    FieldValue,
    /// A field that speaks of a connection, or `te` with anything but `trailers` (section 8.2.2).
    ConnectionSpecific,
    /// A pseudo-field that requests, or answers, do not have (section 8.3), or CONNECT does not (section 8.5).
    UnknownPseudoField,
    /// A pseudo-field for the second time (section 8.3).
    RepeatedPseudoField,
    /// A pseudo-field behind a field (section 8.3).
    LatePseudoField,
    /// A pseudo-field in trailers (section 8.1).
    PseudoFieldInTrailers,
    /// No `:method`, or no `:scheme` and `:path` where the method needs them (section 8.3.1); no `:status` (section 8.3.2).
    MissingPseudoField,
    /// A `:method` that is no token.
    Method,
    /// A `:scheme` that is none.
    Scheme,
    /// An `:authority` that is none.
    Authority,
    /// A `:path` that is empty, has a fragment, or bytes that no URI has.
    Path,
    /// A `:protocol` that is not text, or is not asked for by CONNECT (RFC 8441).
    Protocol,
    /// A `content-length` that what comes does not have (section 8.1.1).
    Length,
    /// A `:status` that is not a number of three digits.
    Status,
}

impl Malformed {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::FieldName => "a field name with forbidden bytes",
            Self::FieldValue => "a field value with forbidden bytes",
            Self::ConnectionSpecific => "a connection-specific field",
            Self::UnknownPseudoField => "an unknown pseudo-field",
            Self::RepeatedPseudoField => "a repeated pseudo-field",
            Self::LatePseudoField => "a pseudo-field behind a field",
            Self::PseudoFieldInTrailers => "a pseudo-field in trailers",
            Self::MissingPseudoField => "a missing pseudo-field",
            Self::Method => "an invalid :method",
            Self::Scheme => "an invalid :scheme",
            Self::Authority => "an invalid :authority",
            Self::Path => "an invalid :path",
            Self::Protocol => "an invalid :protocol",
            Self::Length => "a body that its content-length does not fit",
            Self::Status => "an invalid :status",
        }
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
