//! A TOML file and `--module` → what is served, to whom, and how much of it.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::cli::error::Usage;
use crate::cli::location::path_of;
use crate::cli::owners::Of;
use crate::cli::rate;
use crate::cli::trust::check_module_name;
use crate::fs::state;
use crate::net::{Access, PeerId};
use crate::path::Escaped;
use crate::scan::Excludes;
use crate::sync::serve::{Module, Writing};

/// Longest configuration file, in bytes.
const CONFIG_BYTES_MAX: usize = 1 << 20;
/// What stands before the path of a store.
const STORE: &[u8] = b"store:";

/// What to serve, and where.
#[derive(Debug, Default)]
pub(super) struct Config {
    pub(super) listen: Option<String>,
    /// Sessions at a time.
    pub(super) connections_max: Option<usize>,
    pub(super) log: Log,
    /// Where the counters are told.
    pub(super) metrics: Option<SocketAddr>,
    pub(super) modules: BTreeMap<String, Service>,
}

/// What is logged, and how.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Log {
    pub(super) level: Option<Level>,
    pub(super) format: Option<Format>,
}

/// The least of what is logged.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(super) enum Level {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

/// How an event reads.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(super) enum Format {
    /// A line for people.
    #[default]
    Text,
    /// An object a line.
    Json,
}

/// A module, and who may use it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Service {
    pub(super) module: Module,
    /// The keys that may use it, if authorized_peers lets them too; everyone whom that lets, without.
    pub(super) peers: Option<Vec<PeerId>>,
    /// Sessions at a time.
    pub(super) connections_max: Option<usize>,
}

impl Service {
    /// What a peer gets, whose line in authorized_peers says `access`.
    pub(super) fn granted(&self, peer: &PeerId, access: Access) -> Option<Module> {
        if self.peers.as_ref().is_some_and(|peers| !peers.contains(peer)) {
            return None;
        }
        let may = match access {
            Access::ReadOnly => Writing::Nothing,
            Access::AppendOnly => Writing::New,
            Access::ReadWrite => Writing::All,
        };
        Some(Module { writing: self.module.writing.min(may), ..self.module.clone() })
    }
}

/// The file. A key that is not known is an error: it may be a restriction, misspelt.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    listen: Option<String>,
    max_connections: Option<NonZeroU16>,
    #[serde(default)]
    log: Log,
    metrics: Option<SocketAddr>,
    #[serde(default)]
    metrics_public: bool,
    #[serde(default)]
    modules: BTreeMap<String, WrittenModule>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenModule {
    path: PathBuf,
    mode: Mode,
    peers: Option<Vec<Key>>,
    max_connections: Option<NonZeroU16>,
    #[serde(default)]
    exclude: Exclude,
    bandwidth: Option<Rate>,
    max_delete: Option<u64>,
    #[serde(default)]
    owner: Owner,
    #[serde(default)]
    setid: bool,
    #[serde(default)]
    devices: bool,
    #[serde(default)]
    fake_super: bool,
    #[serde(default)]
    store: bool,
}

/// What clients of a module may do, as it is written.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Mode {
    Ro,
    Rw,
    Wo,
    Ao,
}

impl Mode {
    const ALL: [Mode; 4] = [Mode::Ro, Mode::Rw, Mode::Wo, Mode::Ao];

    fn name(self) -> &'static str {
        match self {
            Mode::Ro => "ro",
            Mode::Rw => "rw",
            Mode::Wo => "wo",
            Mode::Ao => "ao",
        }
    }

    /// Whether clients may read, and what they may write.
    fn rights(self) -> (bool, Writing) {
        match self {
            Mode::Ro => (true, Writing::Nothing),
            Mode::Rw => (true, Writing::All),
            Mode::Wo => (false, Writing::All),
            Mode::Ao => (true, Writing::New),
        }
    }

    /// Refuses what a store cannot be: who reads none of it cannot add to it, and without its key nobody can tell what
    /// is added from what is forgotten.
    fn check_store(self) -> Result<(), String> {
        match self {
            Mode::Ro | Mode::Rw => Ok(()),
            Mode::Wo | Mode::Ao => Err(format!("mode {}: a store is ro or rw", self.name())),
        }
    }

    fn module(self, root: PathBuf) -> Module {
        let (readable, writing) = self.rights();
        Module { readable, ..Module::new(root, writing) }
    }
}

/// A peer's id.
#[derive(Deserialize)]
#[serde(try_from = "String")]
struct Key(PeerId);

impl TryFrom<String> for Key {
    type Error = String;

    fn try_from(text: String) -> Result<Key, String> {
        text.parse().map(Key).map_err(|error| format!("{text:?} is no peer's id: {error}"))
    }
}

/// Bytes a second: a number of KiB, or a text with a unit.
#[derive(Deserialize)]
#[serde(try_from = "toml::Value")]
struct Rate(Option<u64>);

impl TryFrom<toml::Value> for Rate {
    type Error = String;

    fn try_from(value: toml::Value) -> Result<Rate, String> {
        match value {
            toml::Value::String(text) => rate::parse(&text),
            other => rate::parse(&other.to_string()),
        }
        .map(Rate)
    }
}

/// Patterns of names.
#[derive(Default, Deserialize)]
#[serde(try_from = "Vec<String>")]
struct Exclude(Excludes);

impl TryFrom<Vec<String>> for Exclude {
    type Error = String;

    fn try_from(patterns: Vec<String>) -> Result<Exclude, String> {
        let patterns: Vec<Vec<u8>> = patterns.into_iter().map(String::into_bytes).collect();
        Excludes::new(&patterns).map(Exclude).map_err(|error| error.to_string())
    }
}

/// Whose the files are that clients write.
#[derive(Clone, Copy, Default, Deserialize)]
#[serde(try_from = "toml::Value")]
enum Owner {
    /// Whoever's they were.
    #[default]
    Kept,
    /// The daemon's.
    Own,
    /// These, user and group.
    Given(u32, u32),
}

impl TryFrom<toml::Value> for Owner {
    type Error = String;

    fn try_from(value: toml::Value) -> Result<Owner, String> {
        match value {
            toml::Value::Boolean(true) => Ok(Owner::Kept),
            toml::Value::Boolean(false) => Ok(Owner::Own),
            toml::Value::String(text) => {
                let (user, group) = text
                    .split_once(':')
                    .ok_or_else(|| format!("{text:?} is no owner: the form is USER:GROUP"))?;
                let id = |of: Of, name| of.read(name).map_err(|error| error.to_string());
                Ok(Owner::Given(id(Of::Users, user)?, id(Of::Groups, group)?))
            }
            other => Err(format!("{other} is no owner: true, false or \"USER:GROUP\"")),
        }
    }
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
        let Written { listen, max_connections, log, metrics, metrics_public, modules } = written;
        if let Some(addr) = metrics.filter(|addr| !addr.ip().to_canonical().is_loopback() && !metrics_public)
        {
            return Err(format!(
                "metrics at {addr}, which others may reach: metrics_public = true allows it"
            ));
        }
        let modules = modules.into_iter().map(|(name, module)| {
            check_module_name(&name)?;
            Ok((name, module.service(folder)?))
        });
        let modules = modules.collect::<Result<_, String>>()?;
        let connections_max = max_connections.map(|max| max.get().into());
        Ok(Config { listen, connections_max, log, metrics, modules })
    }
}

impl WrittenModule {
    fn service(self, folder: &Path) -> Result<Service, String> {
        if matches!(self.owner, Owner::Given(..)) && !rustix::process::geteuid().is_root() {
            return Err("owner: only a daemon that runs as root can give files away".to_owned());
        }
        if self.fake_super && matches!(self.owner, Owner::Given(..)) {
            return Err("owner: with fake_super files are the daemon's".to_owned());
        }
        if self.store {
            self.check_store()?;
        }
        let module = Module {
            store: self.store,
            owner: matches!(self.owner, Owner::Kept),
            owned_by: match self.owner {
                Owner::Given(user, group) => Some((user, group)),
                Owner::Kept | Owner::Own => None,
            },
            setid: self.setid,
            devices: self.devices,
            recorded: self.fake_super,
            exclude: self.exclude.0,
            bandwidth_max: self.bandwidth.and_then(|rate| rate.0),
            deletions_max: self.max_delete,
            ..self.mode.module(absolute(&folder.join(self.path))?)
        };
        let peers = self.peers.map(|peers| peers.into_iter().map(|key| key.0).collect());
        let connections_max = self.max_connections.map(|max| max.get().into());
        Ok(Service { module, peers, connections_max })
    }

    /// Refuses what would mean nothing for a store.
    fn check_store(&self) -> Result<(), String> {
        let WrittenModule { exclude, bandwidth, max_delete, owner, setid, devices, fake_super, .. } = self;
        let wrong = [
            ("exclude", !exclude.0.is_empty()),
            ("bandwidth", bandwidth.is_some()),
            ("max_delete", max_delete.is_some()),
            ("owner", !matches!(owner, Owner::Kept)),
            ("setid", *setid),
            ("devices", *devices),
            ("fake_super", *fake_super),
        ];
        if let Some((key, _)) = wrong.iter().find(|(_, is_given)| *is_given) {
            return Err(format!("{key}: a store has no files of its clients'"));
        }
        self.mode.check_store()
    }
}

/// What was understood, a line each.
impl fmt::Display for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(listen) = &self.listen {
            writeln!(f, "listen {}", Escaped(listen.as_bytes()))?;
        }
        if let Some(max) = self.connections_max {
            writeln!(f, "max_connections {max}")?;
        }
        if let Some(metrics) = self.metrics {
            writeln!(f, "metrics {metrics}")?;
        }
        for (name, service) in &self.modules {
            writeln!(f, "module {name}{service}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Service { module, peers, connections_max } = self;
        let mode = Mode::ALL.into_iter().find(|mode| mode.rights() == (module.readable, module.writing));
        write!(f, " {}{}", if module.store { "store " } else { "" }, mode.map_or("-", Mode::name))?;
        write!(f, " {}", Escaped(module.root.as_os_str().as_bytes()))?;
        if let Some(peers) = peers {
            let peers: Vec<String> = peers.iter().map(PeerId::fingerprint).collect();
            write!(f, " peers={}", peers.join(","))?;
        }
        if let Some(max) = connections_max {
            write!(f, " max_connections={max}")?;
        }
        for pattern in module.exclude.patterns() {
            write!(f, " exclude={}", Escaped(pattern))?;
        }
        if let Some(rate) = module.bandwidth_max {
            write!(f, " bandwidth={rate}B")?;
        }
        if let Some(max) = module.deletions_max {
            write!(f, " max_delete={max}")?;
        }
        match module.owned_by {
            Some((user, group)) => write!(f, " owner={user}:{group}")?,
            None => write!(f, " owner={}", module.owner)?,
        }
        write!(f, " setid={} devices={}", module.setid, module.devices)?;
        if module.recorded { write!(f, " fake_super=true") } else { Ok(()) }
    }
}

/// Reads `NAME=PATH:MODE`, or `NAME=store:PATH[:MODE]`.
pub(super) fn module(text: &OsStr) -> Result<(String, Service), Usage> {
    let bytes = text.as_bytes();
    let wrong = |why: &str| {
        Usage::new(format!("module {}: {why}", Escaped(bytes)))
            .hint("the form is NAME=PATH:MODE, and MODE is ro, rw, wo or ao; of a store NAME=store:PATH:MODE")
    };
    let equals = bytes.iter().position(|byte| *byte == b'=').ok_or_else(|| wrong("no name"))?;
    let (name, rest) = (&bytes[..equals], &bytes[equals + 1..]);
    // A directory of that name, and its mode, are no store.
    let is_path = |path: &&[u8]| Mode::ALL.iter().all(|mode| mode.name().as_bytes() != *path);
    let store = rest.strip_prefix(STORE).filter(is_path);
    let rest = store.unwrap_or(rest);
    let written = Mode::ALL.into_iter().find_map(|mode| {
        let path = rest.strip_suffix(mode.name().as_bytes())?.strip_suffix(b":")?;
        Some((path, mode))
    });
    let written = written.or_else(|| store.map(|path| (path, Mode::Rw)));
    let (path, mode) = written.ok_or_else(|| wrong("no mode at the end"))?;
    if store.is_some() {
        mode.check_store().map_err(|why| wrong(&why))?;
    }
    let name = std::str::from_utf8(name).map_err(|_| wrong("a name that is not UTF-8"))?;
    check_module_name(name).map_err(|why| wrong(&why))?;
    let root = absolute(&path_of(path)).map_err(|why| wrong(&why))?;
    let module = Module { store: store.is_some(), ..mode.module(root) };
    Ok((name.to_owned(), Service { module, peers: None, connections_max: None }))
}

fn absolute(path: &Path) -> Result<PathBuf, String> {
    std::path::absolute(path).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: PeerId = PeerId([3; 32]);

    #[test]
    fn a_file_names_modules_below_its_own_folder() {
        let text = format!(
            "listen = \"[::]:1\"\nmax_connections = 9\nmetrics = \"127.0.0.1:1\"\nlog = {{ format = \"json\" }}\n\
             [modules.a]\npath = \"x\"\nmode = \"rw\"\nowner = false\nsetid = true\nfake_super = true\nbandwidth = \"2K\"\n\
             [modules.b]\npath = \"/y\"\nmode = \"ao\"\ndevices = true\nbandwidth = 3\nmax_delete = 4\npeers = [\"{PEER}\"]\n\
             max_connections = 2\nexclude = [\"*.o\", \"/t/\"]\n"
        );
        let config = Config::parse(&text, Path::new("/etc")).unwrap();
        assert_eq!((config.listen.as_deref(), config.connections_max), (Some("[::]:1"), Some(9)));
        assert_eq!((config.metrics, config.log.format), ("127.0.0.1:1".parse().ok(), Some(Format::Json)));
        let a = Module {
            owner: false,
            setid: true,
            recorded: true,
            bandwidth_max: Some(2048),
            ..Module::new("/etc/x".into(), Writing::All)
        };
        assert_eq!(config.modules["a"], Service { module: a, peers: None, connections_max: None });
        let b = Module {
            bandwidth_max: Some(3072),
            devices: true,
            deletions_max: Some(4),
            exclude: Excludes::new(&[b"*.o".to_vec(), b"/t/".to_vec()]).unwrap(),
            ..Module::new("/y".into(), Writing::New)
        };
        let b = Service { module: b, peers: Some(vec![PEER]), connections_max: Some(2) };
        assert_eq!(config.modules["b"], b);
        let told = config.to_string();
        let expected = format!(
            "module b ao /y peers={} max_connections=2 exclude=*.o exclude=/t/ bandwidth=3072B max_delete=4 \
             owner=true setid=false devices=true\n",
            PEER.fingerprint()
        );
        assert!(told.ends_with(&expected), "{told}");
    }

    #[test]
    fn the_example_is_understood() {
        let text = include_str!("../../../packaging/serve.toml");
        let config = Config::parse(text, Path::new("/")).unwrap();
        assert_eq!(config.modules.len(), 3);
    }

    #[test]
    fn what_is_not_understood_is_refused_with_its_line() {
        for (text, line) in [
            ("lisden = \"x\"", "line 1: "),
            ("[modules.a]\npath = \"x\"\nmode = \"ro\"\nhosts = 1", "line 4: "),
            ("[modules.a]\npath = \"x\"\nmode = \"xo\"", "line 3: "),
            ("[modules.a]\npath = \"x\"", "line 1: "),
            ("[modules.a]\npath = \"x\"\nmode = \"ro\"\npeers = [\"sl1\"]", "line 4: "),
            ("[modules.a]\npath = \"x\"\nmode = \"ro\"\nbandwidth = \"fast\"", "line 4: "),
            ("[modules.a]\npath = \"x\"\nmode = \"ro\"\nbandwidth = -1", "line 4: "),
            ("[modules.a]\npath = \"x\"\nmode = \"ro\"\nexclude = [\"\"]", "line 4: "),
            ("[modules.a]\npath = \"x\"\nmode = \"ro\"\nmax_delete = -1", "line 4: "),
            ("[modules.a]\npath = \"x\"\nmode = \"ro\"\nmax_connections = \"1\"", "line 4: "),
            ("max_connections = 0", "line 1: "),
            ("max_connections = 70000", "line 1: "),
            ("\nlog = { level = \"loud\" }", "line 2: "),
            ("\n\nmetrics = \"here\"", "line 3: "),
            ("metrics = \"0.0.0.0:1\"", "metrics at 0.0.0.0:1, which others may reach"),
            ("[modules.\"a b\"]\npath = \"x\"\nmode = \"ro\"", "\"a b\" is no module name"),
        ] {
            let error = Config::parse(text, Path::new("/")).unwrap_err();
            assert!(error.starts_with(line), "{text}: {error}");
        }
        assert!(Config::parse("metrics = \"0.0.0.0:1\"\nmetrics_public = true", Path::new("/")).is_ok());
    }

    #[test]
    fn a_module_is_a_name_a_path_and_a_mode() {
        let read = |text: &str| {
            let (name, Service { module, .. }) = module(OsStr::new(text)).ok()?;
            Some((name, module.root, module.readable, module.writing))
        };
        assert_eq!(read("m=/a:rw"), Some(("m".into(), "/a".into(), true, Writing::All)));
        assert_eq!(read("m=/a=b:c:ro"), Some(("m".into(), "/a=b:c".into(), true, Writing::Nothing)));
        assert_eq!(read("m=/a:wo"), Some(("m".into(), "/a".into(), false, Writing::All)));
        assert_eq!(read("m=/a:ao"), Some(("m".into(), "/a".into(), true, Writing::New)));
        for text in ["m", "m=/a", "=/a:ro", "m=:ro", "a,b=/a:ro", "m=/a:RW"] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn a_module_may_be_a_store() {
        let read = |text: &str| {
            let (_, Service { module, .. }) = module(OsStr::new(text)).ok()?;
            Some((module.root.to_str()?.to_owned(), module.store, module.writing))
        };
        let expected = |writing| Some(("/a".to_owned(), true, writing));
        assert_eq!(read("m=store:/a"), expected(Writing::All));
        assert_eq!(read("m=store:/a:rw"), expected(Writing::All));
        assert_eq!(read("m=store:/a:ro"), expected(Writing::Nothing));
        for text in ["m=store:/a:ao", "m=store:/a:wo", "m=store:"] {
            assert_eq!(read(text), None, "{text}");
        }
        assert!(read("m=store:rw").is_some_and(|(root, store, _)| root.ends_with("/store") && !store));
    }

    #[test]
    fn a_peer_gets_what_the_module_and_its_own_line_both_allow() {
        use Access::{AppendOnly, ReadOnly, ReadWrite};
        let granted = |mode: Mode, access| {
            let service = Service { module: mode.module("/".into()), peers: None, connections_max: None };
            service.granted(&PEER, access).map(|module| (module.readable, module.writing)).unwrap()
        };
        for (mode, access, expected) in [
            (Mode::Rw, ReadWrite, (true, Writing::All)),
            (Mode::Rw, AppendOnly, (true, Writing::New)),
            (Mode::Rw, ReadOnly, (true, Writing::Nothing)),
            (Mode::Ao, ReadWrite, (true, Writing::New)),
            (Mode::Ro, ReadWrite, (true, Writing::Nothing)),
            (Mode::Wo, AppendOnly, (false, Writing::New)),
            (Mode::Wo, ReadOnly, (false, Writing::Nothing)),
        ] {
            assert_eq!(granted(mode, access), expected, "{mode:?} {access:?}");
        }
        let module = Mode::Rw.module("/".into());
        let service = Service { module, peers: Some(vec![PEER]), connections_max: None };
        assert!(service.granted(&PEER, ReadOnly).is_some());
        assert!(service.granted(&PeerId([4; 32]), ReadOnly).is_none());
    }
}
