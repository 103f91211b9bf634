use super::ground::Ground;
use super::site::Client;
use crate::Endpoint;

/// Whether a proxy of that number, which has only the secret in common with proxy 0 if any, knows its clients.
pub(super) fn is_known_to(ground: &Ground<'_>, proxy: u32) -> Result<bool, String> {
    let mut here = ground.site(Endpoint::several(4))?;
    let client: Client = ground.bound(&mut here, &[2])?.remove(0);
    let mut there = ground.site_of(proxy, Endpoint::several(4))?;
    Ok(there.find(&client)?.slot() == Some(2))
}
