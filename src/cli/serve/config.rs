//! A TOML file and `--module` → what is served.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::cli::error::Usage;
use crate::cli::location::path_of;
use crate::cli::trust::check_module_name;
use crate::fs::state;
use crate::path::Escaped;
use crate::sync::serve::Module;

/// Longest configuration file, in bytes.
const CONFIG_BYTES_MAX: usize = 1 << 20;

/// What to serve, and where.
#[derive(Debug, Default)]
pub(super) struct Config {
    pub(super) listen: Option<String>,
    pub(super) modules: BTreeMap<String, Module>,
}

/// The file. A key that is not known is an error: it may be a restriction, misspelt.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    listen: Option<String>,
    #[serde(default)]
    modules: BTreeMap<String, WrittenModule>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenModule {
    path: PathBuf,
    mode: Mode,
    #[serde(default = "yes")]
    owner: bool,
    #[serde(default)]
    setid: bool,
    #[serde(default)]
    devices: bool,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Mode {
    Ro,
    Rw,
}

fn yes() -> bool {
    true
}

impl Config {
    /// Reads a configuration file; a relative path in it starts at the file's folder.
    pub(super) fn load(path: &Path) -> Result<Config, Usage> {
        let wrong = |why: String| Usage::new(format!("{}: {why}", Escaped(path.as_os_str().as_bytes())));
        let bytes = state::read(path, CONFIG_BYTES_MAX).map_err(|error| wrong(error.to_string()))?;
        let text = std::str::from_utf8(&bytes).map_err(|error| wrong(error.to_string()))?;
        Config::parse(text, path.parent().unwrap_or(Path::new("."))).map_err(wrong)
    }

    fn parse(text: &str, folder: &Path) -> Result<Config, String> {
        let written: Written = toml::from_str(text).map_err(|error| {
            let line = error.span().map_or(1, |span| 1 + text[..span.start].matches('\n').count());
            format!("line {line}: {}", error.message())
        })?;
        let modules = written.modules.into_iter().map(|(name, module)| {
            let WrittenModule { path, mode, owner, setid, devices } = module;
            check_module_name(&name)?;
            let root = absolute(&folder.join(path))?;
            Ok((name, Module { root, writable: matches!(mode, Mode::Rw), owner, setid, devices }))
        });
        Ok(Config { listen: written.listen, modules: modules.collect::<Result<_, String>>()? })
    }
}

/// Reads `NAME=PATH:ro|rw`.
pub(super) fn module(text: &OsStr) -> Result<(String, Module), Usage> {
    let bytes = text.as_bytes();
    let wrong = |why: &str| {
        Usage::new(format!("module {}: {why}", Escaped(bytes)))
            .hint("the form is NAME=PATH:ro or NAME=PATH:rw")
    };
    let equals = bytes.iter().position(|byte| *byte == b'=').ok_or_else(|| wrong("no name"))?;
    let (name, rest) = (&bytes[..equals], &bytes[equals + 1..]);
    let (path, writable) = match (rest.strip_suffix(b":ro"), rest.strip_suffix(b":rw")) {
        (Some(path), _) => (path, false),
        (_, Some(path)) => (path, true),
        _ => return Err(wrong("neither :ro nor :rw at the end")),
    };
    let name = std::str::from_utf8(name).map_err(|_| wrong("a name that is not UTF-8"))?;
    check_module_name(name).map_err(|why| wrong(&why))?;
    let root = absolute(&path_of(path)).map_err(|why| wrong(&why))?;
    Ok((name.to_owned(), Module { root, writable, owner: true, setid: false, devices: false }))
}

fn absolute(path: &Path) -> Result<PathBuf, String> {
    std::path::absolute(path).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_names_modules_below_its_own_folder() {
        let text = "listen = \"[::]:1\"\n[modules.a]\npath = \"x\"\nmode = \"rw\"\nowner = false\nsetid = true\n\
                    [modules.b]\npath = \"/y\"\nmode = \"ro\"\ndevices = true\n";
        let config = Config::parse(text, Path::new("/etc")).unwrap();
        assert_eq!(config.listen.as_deref(), Some("[::]:1"));
        assert_eq!(
            config.modules["a"],
            Module { root: "/etc/x".into(), writable: true, owner: false, setid: true, devices: false }
        );
        assert_eq!(
            config.modules["b"],
            Module { root: "/y".into(), writable: false, owner: true, setid: false, devices: true }
        );
    }

    #[test]
    fn what_is_not_understood_is_refused_with_its_line() {
        for (text, line) in [
            ("lisden = \"x\"", "line 1: "),
            ("[modules.a]\npath = \"x\"\nmode = \"ro\"\nhosts = 1", "line 4: "),
            ("[modules.a]\npath = \"x\"\nmode = \"wo\"", "line 3: "),
            ("[modules.a]\npath = \"x\"", "line 1: "),
            ("[modules.\"a b\"]\npath = \"x\"\nmode = \"ro\"", "\"a b\" is no module name"),
        ] {
            let error = Config::parse(text, Path::new("/")).unwrap_err();
            assert!(error.starts_with(line), "{text}: {error}");
        }
    }

    #[test]
    fn a_module_is_a_name_a_path_and_a_mode() {
        let read = |text: &str| {
            module(OsStr::new(text)).ok().map(|(name, module)| (name, module.root, module.writable))
        };
        assert_eq!(read("m=/a:rw"), Some(("m".into(), "/a".into(), true)));
        assert_eq!(read("m=/a=b:c:ro"), Some(("m".into(), "/a=b:c".into(), false)));
        for text in ["m", "m=/a", "=/a:ro", "m=:ro", "a,b=/a:ro", "m=/a:RW"] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
