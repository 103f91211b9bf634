use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use wit_component::ComponentEncoder;

const HEADER_LEN: usize = 8;
const CUSTOM_SECTION: u8 = 0;
/// How the names of the custom sections begin in which wit-bindgen leaves them.
const COMPONENT_TYPES: &[u8] = b"component-type";

/// Names that the encoder gives to what it wraps a module in. No backtrace shows them.
const WRAPPER_NAMES: &[u8] = b"component-name";

/// A component that was built.
#[derive(Clone, Debug)]
pub struct Component {
    /// Name of the crate, or of the directory.
    pub name: String,
    pub path: PathBuf,
    pub bytes: Vec<u8>,
}

impl Component {
    pub(crate) fn write(name: &str, bytes: Vec<u8>, destination: &Path) -> Result<Self> {
        let path = destination.join(format!("{name}.wasm"));
        // Whoever watches the file must not see half of it.
        let unfinished = path.with_extension(format!("{}.tmp", std::process::id()));
        fs::write(&unfinished, &bytes).with_context(|| format!("write {}", unfinished.display()))?;
        fs::rename(&unfinished, &path).with_context(|| format!("write {}", path.display()))?;
        Ok(Self { name: name.to_owned(), path, bytes })
    }
}

/// Turns a core module that carries component types, as the SDK leaves them, into a component. Debug information goes;
/// the names of functions stay, for readable backtraces, unless the crate's profile has `strip = true`.
pub fn component_from_module(module: &[u8]) -> Result<Vec<u8>> {
    let module = without_sections(module, |name| name.starts_with(b".debug_") || name == b"target_features")?;
    // Without them the encoder makes a component of nothing.
    if !module.windows(COMPONENT_TYPES.len()).any(|bytes| bytes == COMPONENT_TYPES) {
        bail!("the module carries no component types; was it built with plimsoll-sdk and `plugin!`?");
    }
    let component = ComponentEncoder::default()
        .validate(true)
        .module(&module)
        .context("read the component types of the module")?
        .encode()
        .context("turn the module into a component")?;
    without_sections(&component, |name| name == WRAPPER_NAMES)
}

/// Copies a module or a component but for custom sections of such names. The standard library brings debug information
/// along even in release builds.
fn without_sections(module: &[u8], unwanted: fn(&[u8]) -> bool) -> Result<Vec<u8>> {
    let Some((header, mut rest)) = module.split_at_checked(HEADER_LEN) else {
        bail!("not a WebAssembly module: it ends within its header");
    };
    let mut kept = header.to_vec();
    while let [kind, after_kind @ ..] = rest {
        let (len, body) = read_len(after_kind)?;
        let Some((body, next)) = body.split_at_checked(len) else {
            bail!("not a WebAssembly module: a section ends beyond its end");
        };
        if !(*kind == CUSTOM_SECTION && section_name(body)?.is_some_and(unwanted)) {
            kept.extend_from_slice(&rest[..rest.len() - next.len()]);
        }
        rest = next;
    }
    Ok(kept)
}

fn section_name(custom_section: &[u8]) -> Result<Option<&[u8]>> {
    let (len, rest) = read_len(custom_section)?;
    Ok(rest.get(..len))
}

/// An unsigned LEB128 number of at most 32 bits, and what follows it.
fn read_len(bytes: &[u8]) -> Result<(usize, &[u8])> {
    let mut value = 0usize;
    for (place, byte) in bytes.iter().take(5).enumerate() {
        value |= usize::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return Ok((value, &bytes[place + 1..]));
        }
    }
    bail!("not a WebAssembly module: a length has no end")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn custom(name: &str, body: &[u8]) -> Vec<u8> {
        let mut section = vec![CUSTOM_SECTION, (1 + name.len() + body.len()) as u8, name.len() as u8];
        section.extend(name.bytes());
        section.extend(body);
        section
    }

    #[test]
    fn only_unwanted_sections_go() {
        let header = b"\0asm\x01\0\0\0".to_vec();
        let module = [header.clone(), custom(".debug_info", b"x"), custom("name", b"y")].concat();
        let kept = without_sections(&module, |name| name.starts_with(b".debug_")).unwrap();
        assert_eq!(kept, [header, custom("name", b"y")].concat());
    }

    #[test]
    fn broken_modules_are_refused() {
        for module in [&b"\0asm"[..], b"\0asm\x01\0\0\0\x00\x09x", b"\0asm\x01\0\0\0\x00\xff\xff\xff\xff\xff\xff"] {
            assert!(without_sections(module, |_| false).is_err());
        }
        assert!(component_from_module(b"\0asm\x01\0\0\0").is_err());
    }
}
