/// Something that takes long panicked, which is a mistake of ours: what was about to change has not.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("{0} failed by a mistake of the proxy itself, which the log tells; nothing has changed")]
pub struct Panicked(&'static str);

/// Does what takes long, or may have to wait for a disk, on a thread where nothing waits for it.
pub(super) async fn beside<T: Send + 'static>(
    what: &'static str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Panicked> {
    tokio::task::spawn_blocking(work).await.map_err(|_| Panicked(what))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_says_what_it_has_interrupted() {
        assert_eq!(beside("adding", || 1 + 1).await.ok(), Some(2));
        let panicked = beside("writing the file", || panic!("on purpose")).await.map(|(): ()| ());
        let told = panicked.expect_err("it panicked").to_string();
        assert!(told.starts_with("writing the file failed by a mistake of the proxy itself"), "{told}");
    }
}
