use crate::Attribute;

/// What a policy asked to see of a request or a connection. Values are bytes as they came from the network.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    wanted: &'a [Attribute],
    values: &'a [Option<Vec<u8>>],
}

impl<'a> Request<'a> {
    pub(crate) fn new(wanted: &'a [Attribute], values: &'a [Option<Vec<u8>>]) -> Self {
        Self { wanted, values }
    }

    /// Value of the attribute at this place of the policy's `attributes()`; none where the request has no such thing.
    #[inline]
    pub fn get(&self, index: usize) -> Option<&'a [u8]> {
        self.values.get(index)?.as_deref()
    }

    /// Value of an attribute by what it is. It compares with each that was declared: where there are many, keep the
    /// index and use [`Self::get`].
    pub fn attribute(&self, attribute: &Attribute) -> Option<&'a [u8]> {
        self.find(|wanted| wanted == attribute)
    }

    pub fn method(&self) -> Option<&'a [u8]> {
        self.attribute(&Attribute::Method)
    }

    pub fn authority(&self) -> Option<&'a [u8]> {
        self.attribute(&Attribute::Authority)
    }

    pub fn path(&self) -> Option<&'a [u8]> {
        self.attribute(&Attribute::Path)
    }

    pub fn query(&self) -> Option<&'a [u8]> {
        self.attribute(&Attribute::Query)
    }

    pub fn source_address(&self) -> Option<&'a [u8]> {
        self.attribute(&Attribute::SourceAddress)
    }

    pub fn server_name(&self) -> Option<&'a [u8]> {
        self.attribute(&Attribute::ServerName)
    }

    /// Value of a declared header, by its lower-case name.
    pub fn header(&self, name: &str) -> Option<&'a [u8]> {
        self.find(|wanted| matches!(wanted, Attribute::Header(header) if header == name))
    }

    /// Value of a declared cookie.
    pub fn cookie(&self, name: &str) -> Option<&'a [u8]> {
        self.find(|wanted| matches!(wanted, Attribute::Cookie(cookie) if cookie == name))
    }

    /// Value of a declared query parameter, as sent: not decoded.
    pub fn query_parameter(&self, name: &str) -> Option<&'a [u8]> {
        self.find(|wanted| matches!(wanted, Attribute::QueryParameter(parameter) if parameter == name))
    }

    /// The declared beginning of the body; none where there is no body.
    pub fn body_prefix(&self) -> Option<&'a [u8]> {
        self.find(|wanted| matches!(wanted, Attribute::BodyPrefix(_)))
    }

    fn find(&self, is: impl Fn(&Attribute) -> bool) -> Option<&'a [u8]> {
        self.get(self.wanted.iter().position(is)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_by_what_was_declared() {
        let wanted = [Attribute::Path, Attribute::Header("x-tenant".into()), Attribute::Cookie("sid".into())];
        let values = [Some(b"/a".to_vec()), None, Some(b"1".to_vec())];
        let request = Request::new(&wanted, &values);
        assert_eq!(request.path(), Some(&b"/a"[..]));
        assert_eq!(request.header("x-tenant"), None);
        assert_eq!(request.cookie("sid"), Some(&b"1"[..]));
        assert_eq!(request.cookie("other"), None);
        assert_eq!(request.get(9), None);
    }

    #[test]
    fn a_short_list_of_values_is_no_trap() {
        assert_eq!(Request::new(&[Attribute::Path], &[]).path(), None);
    }
}
