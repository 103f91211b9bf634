use bytes::Bytes;

/// The beginning of a request's body, kept so that it can be sent again.
#[derive(Debug)]
pub(super) struct Kept {
    /// The first piece as it came, which most bodies consist of.
    first: Bytes,
    /// What came behind it, copied: a piece, however small, would keep the whole buffer that it was read into.
    rest: Vec<u8>,
    most_bytes: usize,
    is_whole: bool,
}

impl Kept {
    /// Keeps bodies of up to `most_bytes`.
    pub(super) fn new(most_bytes: usize) -> Self {
        Self { first: Bytes::new(), rest: Vec::new(), most_bytes, is_whole: true }
    }

    /// True while all that has come is there.
    pub(super) fn is_whole(&self) -> bool {
        self.is_whole
    }

    pub(super) fn len(&self) -> usize {
        self.first.len() + self.rest.len()
    }

    /// The next piece has come. One too many lets go of them all.
    pub(super) fn add(&mut self, piece: &Bytes) {
        if !self.is_whole {
        } else if self.len() + piece.len() > self.most_bytes {
            self.let_go();
        } else if self.first.is_empty() {
            self.first = piece.clone();
        } else {
            self.rest.extend_from_slice(piece);
        }
    }

    /// What is kept from there on, in one piece or several. None at the end.
    pub(super) fn piece_at(&self, at: usize) -> Option<Bytes> {
        if at < self.first.len() {
            return Some(self.first.slice(at..));
        }
        self.rest.get(at - self.first.len()..).filter(|rest| !rest.is_empty()).map(Bytes::copy_from_slice)
    }

    /// Keeps nothing any more.
    pub(super) fn let_go(&mut self) {
        *self = Self { is_whole: false, ..Self::new(0) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(kept: &Kept) -> Vec<u8> {
        let mut all = Vec::new();
        while let Some(piece) = kept.piece_at(all.len()) {
            all.extend_from_slice(&piece);
        }
        all
    }

    #[test]
    fn what_has_come_is_there_again_up_to_the_bound() {
        let mut kept = Kept::new(8);
        for piece in ["abc", "", "de", "fgh"] {
            kept.add(&Bytes::from_static(piece.as_bytes()));
        }
        assert_eq!((all(&kept).as_slice(), kept.len(), kept.is_whole()), (&b"abcdefgh"[..], 8, true));
        assert_eq!(kept.piece_at(8), None);
        kept.add(&Bytes::from_static(b"i"));
        assert_eq!((kept.len(), kept.is_whole(), kept.piece_at(0)), (0, false, None));
        kept.add(&Bytes::from_static(b"j"));
        assert!(!kept.is_whole(), "a part would be no body");
    }

    #[test]
    fn without_room_only_nothing_is_kept() {
        let mut kept = Kept::new(0);
        kept.add(&Bytes::new());
        assert!(kept.is_whole());
        kept.add(&Bytes::from_static(b"a"));
        assert!(!kept.is_whole());
    }
}
