use crate::token::LEN;

/// Clients send the same cookie with each request. Looking up what was verified lately costs a fraction of verifying it.
#[derive(Debug)]
pub(crate) struct Memo {
    places: Vec<Option<Verified>>,
}

#[derive(Clone, Copy, Debug)]
struct Verified {
    token: [u8; LEN],
    id_hash: u64,
}

/// A power of two; about 25 KiB in all.
const PLACES: usize = 512;

impl Default for Memo {
    fn default() -> Self {
        Self { places: vec![None; PLACES] }
    }
}

impl Memo {
    /// What the token was verified to be; `verify` is asked when that is not known. None for what is no token.
    pub(crate) fn get_or(&mut self, text: &[u8], verify: impl FnOnce(&[u8; LEN]) -> Option<u64>) -> Option<u64> {
        let token: &[u8; LEN] = text.try_into().ok()?;
        let place = &mut self.places[place(token)];
        if let Some(known) = place
            && same(&known.token, token)
        {
            return Some(known.id_hash);
        }
        let id_hash = verify(token)?;
        *place = Some(Verified { token: *token, id_hash });
        Some(id_hash)
    }
}

/// By the end of the signature, which is as good as random.
fn place(token: &[u8; LEN]) -> usize {
    let mixed =
        token[LEN - 9..].iter().fold(0usize, |mixed, byte| mixed.wrapping_mul(31).wrapping_add(usize::from(*byte)));
    mixed % PLACES
}

/// Takes the same time wherever they differ: how long a refusal took must not tell how much of a forgery was right.
fn same(a: &[u8; LEN], b: &[u8; LEN]) -> bool {
    a.iter().zip(b).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
}
