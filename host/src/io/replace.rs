use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

/// Replaces a file's contents: after a crash at any moment it has the old ones or the new ones, whole.
pub fn replace_file(path: &Path, contents: &[u8]) -> io::Result<()> {
    replace_with(path, contents, None)
}

/// `mode`: who may read it; none when that stays as it was.
fn replace_with(path: &Path, contents: &[u8], mode: Option<u32>) -> io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    let name = path.file_name().ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
    let mut temporary = name.to_owned();
    temporary.push(format!(".{}.tmp", std::process::id()));
    let temporary = directory.join(temporary);
    let written = write_and_rename(&temporary, path, contents, mode);
    if written.is_err() {
        // Nothing more can be done about a leftover.
        let _ = fs::remove_file(&temporary);
    }
    written?;
    // The rename itself must reach the disk too.
    File::open(directory)?.sync_all()
}

/// The same for what only its owner may read, such as keys. Its directory is made if it is not there.
pub fn replace_private_file(path: &Path, contents: &[u8]) -> io::Result<()> {
    let directory = path.parent().unwrap_or_else(|| Path::new("."));
    fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    replace_with(path, contents, Some(0o600))
}

/// Gives a file that cannot be used another name, so that nothing writes over it. Answers what came of that, for people.
pub fn put_aside(path: &Path) -> String {
    let mut aside = path.as_os_str().to_owned();
    aside.push(".damaged");
    match fs::rename(path, &aside) {
        Ok(()) => format!("it is kept as {}", Path::new(&aside).display()),
        Err(error) => format!("putting it aside failed: {error}"),
    }
}

fn write_and_rename(temporary: &Path, path: &Path, contents: &[u8], mode: Option<u32>) -> io::Result<()> {
    let mut file = match mode {
        Some(mode) => {
            // What a crash has left may have other permissions.
            let _ = fs::remove_file(temporary);
            File::options().write(true).create_new(true).mode(mode).open(temporary)?
        }
        None => File::create(temporary)?,
    };
    if mode.is_none()
        && let Ok(metadata) = fs::metadata(path)
    {
        file.set_permissions(metadata.permissions())?;
    }
    file.write_all(contents)?;
    file.sync_all()?;
    fs::rename(temporary, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_and_nothing_is_left_beside_it() {
        let directory = std::env::temp_dir().join(format!("plimsoll-replace-{}", std::process::id()));
        fs::create_dir_all(&directory).expect("a directory");
        let path = directory.join("config.yaml");
        fs::write(&path, "old").expect("the old file");
        replace_file(&path, b"new").expect("replaced");
        assert_eq!(fs::read(&path).expect("the new file"), b"new");
        assert_eq!(fs::read_dir(&directory).expect("the directory").count(), 1);
        fs::remove_dir_all(&directory).expect("cleaned up");
    }
}
