/// States that are not its own: cut off, changed, and what others may have left.
pub(crate) fn foreign_states(random: &mut fastrand::Rng, own: &[u8]) -> Vec<Vec<u8>> {
    let cuts = [1, own.len() / 2, own.len().saturating_sub(1)].map(|cut| own[..cut.min(own.len())].to_vec());
    let mut states = vec![Vec::new(), vec![0], vec![0xff; 4096], b"{\"version\":9}".to_vec()];
    states.extend(cuts);
    states.extend((0..16).map(|_| {
        let mut changed = own.to_vec();
        for _ in 0..random.usize(1..5) {
            if !changed.is_empty() {
                let at = random.usize(..changed.len());
                changed[at] = random.u8(..);
            }
        }
        changed.extend((0..random.usize(..9)).map(|_| random.u8(..)));
        changed
    }));
    // What happens to be its own after all is not foreign.
    states.retain(|state| state != own);
    states
}
