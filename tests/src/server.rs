use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::{free_address, wait_for};

/// A server of Debian's, with a directory of its own; ends when dropped.
#[derive(Debug)]
pub struct Server {
    child: Option<Child>,
    address: SocketAddr,
    directory: PathBuf,
    unprivileged: bool,
}

/// The user of Debian and others that owns nothing.
const NOBODY: u32 = 65_534;

static NUMBER: AtomicUsize = AtomicUsize::new(0);

impl Server {
    /// One that is not started yet, with its directory and its address.
    ///
    /// # Panics
    /// When there can be no directory.
    pub fn prepared(name: &str) -> Self {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let directory = std::env::temp_dir().join(format!("plimsoll-{name}-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&directory).expect("a directory for a server");
        Self { child: None, address: free_address(), directory, unprivileged: false }
    }

    /// Runs as nobody where the tests run as root, since some servers refuse that.
    ///
    /// # Panics
    /// When its directory cannot be made one that anybody may write to.
    #[must_use]
    pub fn unprivileged(mut self) -> Self {
        let open = std::fs::Permissions::from_mode(0o777);
        std::fs::set_permissions(&self.directory, open).expect("permissions can be changed");
        self.unprivileged = std::fs::metadata("/proc/self").is_ok_and(|me| me.uid() == 0);
        self
    }

    fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let paths = std::env::var("PATH").unwrap_or_default();
        let mut command = Command::new(program);
        command
            .args(arguments)
            .current_dir(&self.directory)
            .env("PATH", format!("{paths}:/usr/sbin:/usr/lib/postgresql/15/bin"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        if self.unprivileged {
            command.uid(NOBODY).gid(NOBODY);
        }
        command
    }

    /// Runs a program in its directory, to its end.
    ///
    /// # Panics
    /// When it is not installed, or fails.
    pub fn run(&self, program: &str, arguments: &[&str]) {
        let status = self.command(program, arguments).status();
        assert!(status.as_ref().is_ok_and(std::process::ExitStatus::success), "{program}: {status:?}");
    }

    /// Starts it, or starts it again after [`Self::stop`], and waits until it takes connections. One that ends instead is started
    /// once more: what a server that was killed has left (children, locks) goes a moment later.
    ///
    /// # Panics
    /// When the program is not installed (`cargo xtask prerequisites` says which package has it), or does not come up.
    pub fn start(&mut self, program: &str, arguments: &[&str]) {
        let spawn = |server: &Self| {
            let child = server.command(program, arguments).spawn();
            child.unwrap_or_else(|error| panic!("{program} does not start: {error}; see `cargo xtask prerequisites`"))
        };
        let mut child = spawn(self);
        wait_for(&format!("{program} to come up"), || {
            if matches!(child.try_wait(), Ok(Some(_))) {
                child = spawn(self);
            }
            TcpStream::connect(self.address).ok()
        });
        self.child = Some(child);
    }

    /// Ends it at once: from then on nobody answers there.
    pub fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn directory(&self) -> &Path {
        &self.directory
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}
