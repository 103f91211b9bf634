use rustls::server::ClientHello;

/// What a TLS client says in its greeting of what it wants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Greeting<'a> {
    /// The server that it asks for (SNI).
    pub server_name: Option<&'a str>,
    /// The protocols that it would speak (ALPN), with commas between them; the one that was agreed on, where TLS has ended.
    pub application_protocols: Option<&'a [u8]>,
}

/// The same by itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Greeted {
    pub server_name: Option<Box<str>>,
    pub application_protocols: Option<Box<[u8]>>,
}

impl Greeted {
    pub(super) fn by(hello: &ClientHello<'_>) -> Self {
        // Nobody could tell where one with a comma ends.
        let names = hello.alpn().into_iter().flatten().filter(|name| !name.contains(&b','));
        let joined = names.collect::<Vec<_>>().join(&b',');
        Self {
            server_name: hello.server_name().map(Into::into),
            application_protocols: (!joined.is_empty()).then(|| joined.into()),
        }
    }

    pub(super) fn as_greeting(&self) -> Greeting<'_> {
        let Self { server_name, application_protocols } = self;
        Greeting { server_name: server_name.as_deref(), application_protocols: application_protocols.as_deref() }
    }
}

impl From<Greeting<'_>> for Greeted {
    fn from(greeting: Greeting<'_>) -> Self {
        let Greeting { server_name, application_protocols } = greeting;
        Self { server_name: server_name.map(Into::into), application_protocols: application_protocols.map(Into::into) }
    }
}
