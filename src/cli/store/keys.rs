//! What opens an encrypted store: a file with its passphrase or its key, the environment, or somebody at a terminal.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use zeroize::Zeroizing;

use super::init;
use crate::cli::error::Usage;
use crate::fs::state;
use crate::path::Escaped;
use crate::store::StoreError;
use crate::store::seal::{Cost, Key, SealError, Secret, Unlock, Wrapped};

/// The passphrase itself: for those who cannot give a file. Others of the same user can read it.
const PASSPHRASE: &str = "SYNCLINE_PASSPHRASE";
/// The name of a file with it.
const PASSPHRASE_FILE: &str = "SYNCLINE_PASSPHRASE_FILE";
/// The name of a file with the key.
const KEY_FILE: &str = "SYNCLINE_KEY_FILE";
/// Bytes of a file with a passphrase or a key at most.
const FILE_BYTES_MAX: usize = 4096;
/// Bytes of a new passphrase at least.
const PASSPHRASE_BYTES_MIN: usize = 8;

/// What opens an encrypted store. Without a flag, SYNCLINE_KEY_FILE, SYNCLINE_PASSPHRASE_FILE or SYNCLINE_PASSPHRASE of the
/// environment does, or the passphrase is asked for.
#[derive(clap::Args, Clone, Default)]
pub(super) struct Keys {
    /// The passphrase of an encrypted store is the first line of FILE.
    #[arg(long, value_name = "FILE", conflicts_with = "key_file")]
    passphrase_file: Option<PathBuf>,

    /// The key of an encrypted store is in FILE.
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
}

/// What somebody has.
enum Held {
    Passphrase(Zeroizing<Vec<u8>>),
    Key(Zeroizing<[u8; 32]>),
}

impl Held {
    fn unlock(&self) -> Unlock<'_> {
        match self {
            Held::Passphrase(typed) => Unlock::Passphrase(typed),
            Held::Key(key) => Unlock::KeyFile(key),
        }
    }
}

impl Keys {
    pub(super) fn of(passphrase_file: Option<PathBuf>, key_file: Option<PathBuf>) -> Keys {
        Keys { passphrase_file, key_file }
    }

    /// Whether a flag says that the store is to be encrypted.
    pub(super) fn are_given(&self) -> bool {
        self.passphrase_file.is_some() || self.key_file.is_some()
    }

    /// Opens the key of a store.
    pub(super) fn open(&self, wrapped: &Wrapped) -> anyhow::Result<Secret> {
        let held = match self.held()? {
            Some(held) => held,
            None if !wrapped.has_passphrase() => return Err(StoreError::Encrypted.into()),
            None => Held::Passphrase(ask("passphrase: ")?.ok_or(StoreError::Encrypted)?),
        };
        Ok(wrapped.open(held.unlock()).map_err(StoreError::from)?)
    }

    /// Draws the key of a new store. A key file that is not there is made.
    pub(super) fn generate(&self) -> anyhow::Result<Key> {
        self.make_missing()?;
        let chosen = chosen(self.held()?)?;
        Ok(Key::generate(chosen.unlock(), Cost::default()).map_err(StoreError::from)?)
    }

    /// Has a key be opened by what the flags say, or somebody types: the environment has what opened it before.
    pub(super) fn wrap(&self, key: &Key) -> anyhow::Result<Key> {
        self.make_missing()?;
        let chosen = chosen(self.given()?)?;
        Ok(key.wrapped_anew(chosen.unlock(), Cost::default()).map_err(StoreError::from)?)
    }

    /// What the flags say.
    fn given(&self) -> anyhow::Result<Option<Held>> {
        if let Some(path) = &self.key_file {
            return Ok(Some(Held::Key(read_key(path)?)));
        }
        let read = |path| Ok(Held::Passphrase(read_passphrase(path)?));
        self.passphrase_file.as_deref().map(read).transpose()
    }

    /// What flags or the environment say.
    fn held(&self) -> anyhow::Result<Option<Held>> {
        let named = |variable: &str| std::env::var_os(variable).map(PathBuf::from);
        if let Some(held) = self.given()? {
            return Ok(Some(held));
        }
        if let Some(path) = named(KEY_FILE) {
            return Ok(Some(Held::Key(read_key(&path)?)));
        }
        if let Some(path) = named(PASSPHRASE_FILE) {
            return Ok(Some(Held::Passphrase(read_passphrase(&path)?)));
        }
        let typed = std::env::var_os(PASSPHRASE).map(|typed| Zeroizing::new(typed.into_encoded_bytes()));
        Ok(typed.map(Held::Passphrase))
    }

    /// Makes the key file, if it is not there.
    fn make_missing(&self) -> anyhow::Result<()> {
        match &self.key_file {
            Some(path) if !path.try_exists().unwrap_or(true) => make_key(path),
            _ => Ok(()),
        }
    }
}

/// What a key is to be opened by from now on: what is held, or what somebody types.
fn chosen(held: Option<Held>) -> anyhow::Result<Held> {
    let held = match held {
        Some(held) => held,
        None => {
            let none = || Usage::new("there is nobody to choose a passphrase").hint(HINT);
            let typed = ask("new passphrase: ")?.ok_or_else(none)?;
            if ask("the same again: ")?.as_ref() != Some(&typed) {
                return Err(Usage::new("the two passphrases differ").into());
            }
            Held::Passphrase(typed)
        }
    };
    match &held {
        Held::Passphrase(typed) if typed.len() < PASSPHRASE_BYTES_MIN => {
            Err(Usage::new(format!("a passphrase has at least {PASSPHRASE_BYTES_MIN} bytes")).into())
        }
        _ => Ok(held),
    }
}

/// What helps where a passphrase is wanted.
pub(in crate::cli) const HINT: &str =
    "--passphrase-file or --key-file, or SYNCLINE_PASSPHRASE_FILE or SYNCLINE_KEY_FILE in the environment";

/// Asks somebody at the terminal; `None` if there is none.
fn ask(prompt: &str) -> anyhow::Result<Option<Zeroizing<Vec<u8>>>> {
    match rpassword::prompt_password(prompt) {
        Ok(typed) => Ok(Some(Zeroizing::new(typed.into_bytes()))),
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => bail!("no passphrase was typed"),
        Err(_) => Ok(None),
    }
}

fn read_passphrase(path: &Path) -> anyhow::Result<Zeroizing<Vec<u8>>> {
    let mut text = Zeroizing::new(state::read(path, FILE_BYTES_MAX).with_context(|| shown(path))?);
    let end = text.iter().position(|byte| *byte == b'\n').unwrap_or(text.len());
    text.truncate(end);
    if text.last() == Some(&b'\r') {
        text.pop();
    }
    Ok(text)
}

fn read_key(path: &Path) -> anyhow::Result<Zeroizing<[u8; 32]>> {
    let text = Zeroizing::new(state::read_private(path, FILE_BYTES_MAX).with_context(|| shown(path))?);
    let digits = text.trim_ascii();
    let digit = |byte: u8| (byte as char).to_digit(16).map(|digit| digit as u8);
    let mut key = Zeroizing::new([0; 32]);
    let is_whole = digits.len() == 64
        && digits.chunks_exact(2).zip(key.iter_mut()).all(|(pair, byte)| {
            let value = digit(pair[0]).zip(digit(pair[1])).map(|(high, low)| high << 4 | low);
            value.inspect(|value| *byte = *value).is_some()
        });
    if !is_whole {
        let text = format!("{}: a key file has 64 hexadecimal digits", shown(path));
        return Err(Usage::new(text).into());
    }
    Ok(key)
}

fn make_key(path: &Path) -> anyhow::Result<()> {
    let mut key = Zeroizing::new([0; 32]);
    init::random(&mut *key)?;
    let mut text: Zeroizing<String> = Zeroizing::new(key.iter().map(|byte| format!("{byte:02x}")).collect());
    text.push('\n');
    state::write_atomic(path, text.as_bytes(), 0o600).with_context(|| shown(path))
}

fn shown(path: &Path) -> String {
    Escaped(path.as_os_str().as_encoded_bytes()).to_string()
}

/// Whether an error is about what opens the store.
pub(in crate::cli) fn wants_hint(error: &StoreError) -> bool {
    matches!(
        error,
        StoreError::Encrypted | StoreError::Seal(SealError::NeedsPassphrase | SealError::NeedsKeyFile)
    )
}
