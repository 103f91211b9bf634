/// States that are not its own: cut off, changed, and what others may have left.
pub(crate) fn foreign_states(random: &mut fastrand::Rng, own: &[u8]) -> Vec<Vec<u8>> {
    let mut states =
        vec![Vec::new(), vec![0], vec![0xff; 4096], b"{\"version\":9}".to_vec(), own[..own.len() / 2].to_vec()];
    for _ in 0..8 {
        let mut changed = own.to_vec();
        if !changed.is_empty() {
            let at = random.usize(..changed.len());
            changed[at] ^= 1 << random.u8(..8);
        }
        changed.extend((0..random.usize(1..9)).map(|_| random.u8(..)));
        states.push(changed);
    }
    states
}
