use sha1::Sha1;
use sha2::{Digest, Sha256};

const NATIVE: &[u8] = b"mysql_native_password";
const CACHING: &[u8] = b"caching_sha2_password";

/// Long passwords, the protocol since 4.1, its way of authentication, and plugins for that.
const CAPABILITIES: u32 = 0x1 | 0x200 | 0x8000 | 0x8_0000;

/// As whom it logs in.
#[derive(Debug)]
pub(crate) struct Login {
    pub(crate) user: String,
    pub(crate) password: String,
}

impl Login {
    /// The answer to a greeting, of which this is what follows the version; none when it is no greeting.
    pub(crate) fn respond(&self, greeting: &[u8]) -> Option<Vec<u8>> {
        // The end of the version, the number of the connection, eight bytes of the salt, and so on.
        let (head, rest) = greeting.split_at_checked(32)?;
        let salt = [head.get(5..13)?, rest.get(..12)?].concat();
        let named = rest.get(13..).and_then(|rest| rest.split(|byte| *byte == 0).next()).unwrap_or_default();
        // The server asks for another way if it wants one.
        let way = if named == CACHING { CACHING } else { NATIVE };
        let proof = self.proof(way, &salt)?;
        let mut response = CAPABILITIES.to_le_bytes().to_vec();
        response.extend_from_slice(&(1_u32 << 24).to_le_bytes());
        // UTF-8, as all of them know it, and nothing.
        response.push(33);
        response.extend_from_slice(&[0; 23]);
        response.extend_from_slice(self.user.as_bytes());
        response.push(0);
        response.push(u8::try_from(proof.len()).ok()?);
        response.extend(proof);
        response.extend_from_slice(way);
        response.push(0);
        Some(response)
    }

    /// The answer when the server wants another way, of which it tells name and salt.
    pub(crate) fn switch(&self, wanted: &[u8]) -> Option<Vec<u8>> {
        let mut parts = wanted.splitn(2, |byte| *byte == 0);
        let (way, salt) = (parts.next()?, parts.next()?);
        self.proof(way, salt.get(..20)?)
    }

    /// That the password is known, without telling it.
    fn proof(&self, way: &[u8], salt: &[u8]) -> Option<Vec<u8>> {
        let password = self.password.as_bytes();
        match way {
            NATIVE | CACHING if password.is_empty() => Some(Vec::new()),
            NATIVE => {
                let once = Sha1::digest(password);
                let mixed = Sha1::digest([salt, &Sha1::digest(once)].concat());
                Some(xor(&once, &mixed))
            }
            CACHING => {
                let once = Sha256::digest(password);
                let mixed = Sha256::digest([&Sha256::digest(once), salt].concat());
                Some(xor(&once, &mixed))
            }
            _ => None,
        }
    }
}

fn xor(one: &[u8], other: &[u8]) -> Vec<u8> {
    one.iter().zip(other).map(|(one, other)| one ^ other).collect()
}
