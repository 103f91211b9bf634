//! Compiled components on disk, so that a component costs its compilation once and not at every start.
//!
//! Machine code that is loaded is machine code that runs, whatever is in it (`wasmtime::component::Component::deserialize`).
//! So an entry is used only where nobody but the process's user can have written it: the directory and the key belong to
//! that user, the key can be read by nobody else, and each entry bears a mark that only the key's holder can make. The
//! mark also finds what a crash or a failing disk has damaged.

use std::env;
use std::fs::{self, DirBuilder, File, Metadata};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use wasmtime::Engine;
use wasmtime::component::Component;

use crate::io::{cache_directory, read_bounded, replace_private_file};

/// Names the directory in whose `compiled` entries are kept; empty to keep none.
const VARIABLE: &str = "PLIMSOLL_CACHE_DIR";
/// More than a component of the largest size that is loaded becomes.
const ENTRY_BYTES: u64 = 512 << 20;
/// Of all entries. What was used longest ago goes first.
const MOST_BYTES: u64 = 512 << 20;
/// An entry that is used says so, but no more often than this.
const TOUCHED_EVERY: Duration = Duration::from_hours(24);
/// What a process has left that was killed while it wrote.
const LEFTOVER_AGE: Duration = Duration::from_hours(1);
const KEY: &str = "key";
const ENDING: &str = "compiled";
/// A block of SHA-256: of this length alone a key is used as it is.
const KEY_BYTES: usize = 64;
const MARK_BYTES: usize = 32;

/// The directory, and what marks are made with.
#[derive(Debug)]
pub(super) struct CompileCache {
    directory: PathBuf,
    key: [u8; KEY_BYTES],
    /// Entries are written by one thread at a time.
    writing: Mutex<()>,
}

impl CompileCache {
    /// The process's own: in `PLIMSOLL_CACHE_DIR`, else in its cache directory. None where there is none, or it cannot be
    /// used.
    pub(super) fn of_process() -> Option<Arc<Self>> {
        static CACHE: OnceLock<Option<Arc<CompileCache>>> = OnceLock::new();
        CACHE
            .get_or_init(|| {
                let (directory, is_asked_for) = standard_directory()?;
                match Self::open(&directory) {
                    Ok(cache) => Some(Arc::new(cache)),
                    Err(error) if is_asked_for => {
                        tracing::warn!("compiled plugins are not kept: {}: {error}", directory.display());
                        None
                    }
                    Err(error) => {
                        tracing::debug!("compiled plugins are not kept: {}: {error}", directory.display());
                        None
                    }
                }
            })
            .clone()
    }

    /// Makes the directory and the key if they are not there.
    pub(super) fn open(directory: &Path) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        let metadata = fs::symlink_metadata(directory)?;
        if !metadata.is_dir() || !is_written_by_us_alone(&metadata) {
            return Err(io::Error::other("it must be a directory that this user alone may write to (mode 0700)"));
        }
        let key = key_of(directory)?;
        Ok(Self { directory: directory.to_owned(), key, writing: Mutex::default() })
    }

    /// The component of this digest, compiled now if it was not compiled before by this version for such an engine.
    pub(super) fn component(&self, engine: &Engine, bytes: &[u8], digest: &str) -> wasmtime::Result<Component> {
        let name = entry_name(engine, digest);
        if let Some(component) = self.kept(engine, &name) {
            return Ok(component);
        }
        let component = compile(engine, bytes)?;
        if let Err(error) = component.serialize().map_err(io::Error::other).and_then(|code| self.keep(&name, &code)) {
            tracing::debug!("a compiled plugin was not kept in {}: {error}", self.directory.display());
        }
        Ok(component)
    }

    fn kept(&self, engine: &Engine, name: &str) -> Option<Component> {
        let path = self.directory.join(name);
        let entry = match read_bounded(&path, ENTRY_BYTES) {
            Ok(entry) => entry,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => {
                tracing::debug!("{}: {error}", path.display());
                return None;
            }
        };
        let (mark, code) = entry.split_at_checked(MARK_BYTES).unwrap_or_default();
        if self.mark(name, code).verify_slice(mark).is_err() {
            tracing::warn!("{} is damaged or not of this proxy: its plugin is compiled anew", path.display());
            return None;
        }
        touch(&path);
        // SAFETY: `deserialize` needs bytes that `Component::serialize` has made. The mark says that this user's proxy
        // wrote them, under this very name; and it does so with nothing else. They are a copy in memory, which nobody
        // changes after they were looked at. Whether they fit this engine and processor wasmtime checks itself.
        #[allow(unsafe_code, reason = "there is no other way to load what was compiled before")]
        let component = unsafe { Component::deserialize(engine, code) };
        component.inspect_err(|error| tracing::debug!("{}: {error:#}", path.display())).ok()
    }

    fn keep(&self, name: &str, code: &[u8]) -> io::Result<()> {
        let _one_at_a_time = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let mark = self.mark(name, code).finalize().into_bytes();
        replace_private_file(&self.directory.join(name), &[&mark[..], code].concat())?;
        self.tidy(MOST_BYTES)
    }

    /// Of an entry, under its name: one cannot stand in for another.
    fn mark(&self, name: &str, code: &[u8]) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new(&self.key.into());
        mac.update(name.as_bytes());
        mac.update(code);
        mac
    }

    /// Removes the entries that were used longest ago until the rest have at most so many bytes, and leftovers.
    fn tidy(&self, most_bytes: u64) -> io::Result<()> {
        let now = SystemTime::now();
        let age = |metadata: &Metadata| {
            metadata.modified().ok().and_then(|used| now.duration_since(used).ok()).unwrap_or_default()
        };
        let mut entries = Vec::new();
        for file in fs::read_dir(&self.directory)?.flatten() {
            let path = file.path();
            let Ok(metadata) = file.metadata() else { continue };
            match path.extension().and_then(|ending| ending.to_str()) {
                Some(ENDING) => entries.push((age(&metadata), metadata.len(), path)),
                Some("tmp") if age(&metadata) > LEFTOVER_AGE => drop(fs::remove_file(&path)),
                _ => {}
            }
        }
        entries.sort();
        let mut bytes = 0;
        for (_, size, path) in entries {
            bytes += size;
            if bytes > most_bytes {
                fs::remove_file(&path)?;
            }
        }
        Ok(())
    }
}

/// Takes its time, which is told.
pub(super) fn compile(engine: &Engine, bytes: &[u8]) -> wasmtime::Result<Component> {
    let started = Instant::now();
    let component = Component::new(engine, bytes)?;
    tracing::debug!(milliseconds = started.elapsed().as_millis(), bytes = bytes.len(), "compiled a plugin");
    Ok(component)
}

/// The directory, and whether the operator named it.
fn standard_directory() -> Option<(PathBuf, bool)> {
    if let Some(directory) = env::var_os(VARIABLE) {
        return (!directory.is_empty()).then(|| (Path::new(&directory).join("compiled"), true));
    }
    Some((cache_directory()?.join("compiled"), false))
}

/// What the component becomes depends on the engine's settings and on who compiles it.
fn entry_name(engine: &Engine, digest: &str) -> String {
    let mut of_engine = DefaultHasher::new();
    engine.precompile_compatibility_hash().hash(&mut of_engine);
    format!("{digest}-{:016x}.{ENDING}", of_engine.finish())
}

fn is_written_by_us_alone(metadata: &Metadata) -> bool {
    metadata.uid() == rustix::process::geteuid().as_raw() && metadata.mode() & 0o022 == 0
}

/// The key, made now if there is none. Of several processes that begin at once, all have the one that was there first.
fn key_of(directory: &Path) -> io::Result<[u8; KEY_BYTES]> {
    let path = directory.join(KEY);
    if !path.exists() {
        let mut key = [0; KEY_BYTES];
        rustix::rand::getrandom(&mut key, rustix::rand::GetRandomFlags::empty())?;
        let temporary = directory.join(format!("{KEY}.{}.tmp", std::process::id()));
        // What a crash has left, perhaps with other permissions.
        let _ = fs::remove_file(&temporary);
        File::options().write(true).create_new(true).mode(0o600).open(&temporary)?.write_all(&key)?;
        let linked = fs::hard_link(&temporary, &path);
        fs::remove_file(&temporary)?;
        linked.or_else(|error| if error.kind() == io::ErrorKind::AlreadyExists { Ok(()) } else { Err(error) })?;
    }
    let metadata = fs::symlink_metadata(&path)?;
    if !metadata.is_file() || !is_written_by_us_alone(&metadata) || metadata.mode() & 0o077 != 0 {
        return Err(io::Error::other(format!("{KEY} in it must be a file that this user alone may read (mode 0600)")));
    }
    let key = read_bounded(&path, KEY_BYTES as u64)?;
    key.try_into().map_err(|_| io::Error::other(format!("{KEY} in it is damaged: remove it")))
}

/// Says that an entry is still of use. When that fails, it goes earlier than it would have.
fn touch(path: &Path) {
    let now = SystemTime::now();
    let is_fresh = |metadata: Metadata| {
        metadata.modified().is_ok_and(|used| now.duration_since(used).is_ok_and(|age| age < TOUCHED_EVERY))
    };
    if !fs::metadata(path).is_ok_and(is_fresh) {
        let _ = File::options().append(true).open(path).and_then(|file| file.set_modified(now));
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    /// Whether the engine had to compile it is seen by what is in the directory.
    fn entries(directory: &Path) -> Vec<PathBuf> {
        let files = fs::read_dir(directory).expect("the directory").flatten().map(|file| file.path());
        files.filter(|path| path.extension().is_some_and(|ending| ending == ENDING)).collect()
    }

    fn directory(test: &str) -> PathBuf {
        let directory = env::temp_dir().join(format!("plimsoll-compiled-{}-{test}", std::process::id()));
        let _ = fs::remove_dir_all(&directory);
        directory
    }

    fn engine() -> Engine {
        let mut config = wasmtime::Config::new();
        config.wasm_component_model(true);
        Engine::new(&config).expect("an engine")
    }

    /// With nothing in it.
    const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";

    #[test]
    fn what_was_compiled_once_is_not_compiled_again() {
        let directory = directory("once");
        let (cache, engine) = (CompileCache::open(&directory).expect("a cache"), engine());
        cache.component(&engine, COMPONENT, "empty").expect("compiled");
        let entry = entries(&directory).pop().expect("an entry");
        let name = entry.file_name().and_then(|name| name.to_str()).expect("a name");
        let again = CompileCache::open(&directory).expect("the cache of another process");
        assert!(again.kept(&engine, name).is_some());
        assert_eq!(fs::metadata(&entry).expect("the entry").permissions().mode() & 0o777, 0o600);
        fs::remove_dir_all(&directory).expect("cleaned up");
    }

    #[test]
    fn what_somebody_else_may_have_written_is_not_run() {
        let directory = directory("forged");
        let (cache, engine) = (CompileCache::open(&directory).expect("a cache"), engine());
        cache.component(&engine, COMPONENT, "empty").expect("compiled");
        let entry = entries(&directory).pop().expect("an entry");
        let name = entry.file_name().and_then(|name| name.to_str()).expect("a name").to_owned();
        let whole = fs::read(&entry).expect("the entry");
        for place in [0, MARK_BYTES, whole.len() / 2, whole.len() - 1] {
            let mut forged = whole.clone();
            forged[place] ^= 1;
            fs::write(&entry, forged).expect("written");
            assert!(cache.kept(&engine, &name).is_none(), "byte {place}");
        }
        for size in [0, 1, MARK_BYTES - 1, MARK_BYTES, whole.len() - 1] {
            fs::write(&entry, &whole[..size]).expect("written");
            assert!(cache.kept(&engine, &name).is_none(), "{size} bytes");
        }
        // Under another name it would be another plugin's.
        let other = format!("{}-0000000000000000.{ENDING}", "0".repeat(64));
        fs::write(directory.join(&other), &whole).expect("written");
        assert!(cache.kept(&engine, &other).is_none());
        // Compiled anew, it is whole again.
        cache.component(&engine, COMPONENT, "empty").expect("compiled");
        assert!(cache.kept(&engine, &name).is_some());
        fs::remove_dir_all(&directory).expect("cleaned up");
    }

    #[test]
    fn a_directory_or_a_key_that_others_can_change_is_refused() {
        let directory = directory("shared");
        CompileCache::open(&directory).expect("a cache");
        let open = || CompileCache::open(&directory).map(drop).map_err(|error| error.to_string());
        let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("set");
        mode(&directory, 0o770);
        assert!(open().expect_err("a group may write").contains("0700"));
        mode(&directory, 0o755);
        open().expect("others may look");
        mode(&directory.join(KEY), 0o644);
        assert!(open().expect_err("others know the key").contains("0600"));
        fs::remove_file(directory.join(KEY)).expect("removed");
        std::os::unix::fs::symlink("/dev/null", directory.join(KEY)).expect("a link");
        open().expect_err("a key elsewhere");
        fs::remove_dir_all(&directory).expect("cleaned up");
    }

    #[test]
    fn what_was_used_longest_ago_goes_first() {
        let directory = directory("tidy");
        let cache = CompileCache::open(&directory).expect("a cache");
        let now = SystemTime::now();
        for (name, age) in [("a", 3), ("b", 1), ("c", 2), ("d", 4)] {
            let file = File::create(directory.join(format!("{name}.{ENDING}"))).expect("a file");
            file.set_len(100).expect("its size");
            file.set_modified(now - Duration::from_mins(age)).expect("its age");
        }
        cache.tidy(250).expect("tidied");
        let mut left: Vec<_> =
            entries(&directory).iter().filter_map(|path| path.file_stem().map(ToOwned::to_owned)).collect();
        left.sort();
        assert_eq!(left, ["b", "c"]);
        fs::remove_dir_all(&directory).expect("cleaned up");
    }
}
