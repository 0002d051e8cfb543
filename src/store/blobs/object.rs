//! Blobs as objects of S3, Google Cloud Storage or Azure, below a prefix of a bucket.
//!
//! Several machines may write at once: blobs are created only where none is, and the head is replaced only if it
//! still is the one that was read (`If-None-Match`, `If-Match`), so the service decides who was first. A service without
//! conditional writes can be read, but its head is not replaced.
//!
//! # Answers that got lost
//!
//! A request that is sent again because its answer never came may meet its own first effect as a conflict. So a conflict
//! is looked at before it is believed: what has the bytes that were to be written, was written by us. Blobs are
//! named by their bytes: one that is read as a whole is checked against its name.
//!
//! The service's client is asynchronous; it runs on two threads of its own, and any number of threads may call.

#[cfg(test)]
mod tests;

use std::fmt;
use std::future::Future;
use std::io;
use std::ops::Range;
use std::path::{Path as FilePath, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures_util::TryStreamExt;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    ClientConfigKey, Error, GetOptions, GetRange, ObjectMeta, ObjectStore, ObjectStoreExt, PutMode,
    PutOptions, PutPayload, PutResult, UpdateVersion, WriteMultipart,
};
use tokio::runtime::Runtime;

use super::{BlobInfo, BlobKind, BlobName, Blobs, HEAD_BYTES_MAX, Head, HeadVersion, Locking, WriteLock};
use crate::fs::{DirRef, Time, os, state};
use crate::hash::{Domain, Hash};

/// A larger blob is sent in parts, so that a cut connection costs one part.
const PART_BYTES: usize = 8 << 20;
/// Parts on their way at most.
const PARTS_MAX: usize = 4;
/// The settings are a few hundred bytes.
const SETTINGS_BYTES_MAX: u64 = 64 << 10;
/// One request, its body included, unless the environment says otherwise: a part over 250 kbit/s.
const REQUEST_TIMEOUT: &str = "300 seconds";
/// How often a write under a condition is tried where no answer comes.
const TRIES: usize = 3;
const RUNTIME_THREADS: usize = 2;

/// Blobs as objects below a prefix.
pub struct ObjectBlobs {
    store: Arc<dyn ObjectStore>,
    prefix: Path,
    sharing: Sharing,
    runtime: Runtime,
}

/// Who keeps two writers apart.
enum Sharing {
    /// The service.
    Service,
    /// A lock on this directory, for a file system cannot write under a condition; and another for this process's threads.
    Directory(PathBuf, Mutex<()>),
}

/// A handle of a folder that carries the lock.
struct Locked {
    _folder: DirRef,
}

impl WriteLock for Locked {}

impl ObjectBlobs {
    /// Opens the place that a URL names: `s3://BUCKET/PREFIX`, `gs://BUCKET/PREFIX` or `az://CONTAINER/PREFIX`;
    /// `memory:///`, which is empty and ends with the value; `file:///DIRECTORY`, which is there. Sends nothing yet.
    ///
    /// Credentials, regions and endpoints are those of the environment (`AWS_*`, `GOOGLE_*`, `AZURE_*`), as the crate
    /// `object_store` reads them. Without TLS a service is spoken to only where `AWS_ALLOW_HTTP` or its like says so.
    ///
    /// # Errors
    /// `InvalidInput` for another URL, or settings that do not fit; `NotFound` for a directory that is not there.
    pub fn open(url: &str) -> io::Result<ObjectBlobs> {
        let invalid = |what: &str| io::Error::new(io::ErrorKind::InvalidInput, format!("{url}: {what}"));
        let (scheme, rest) = url.split_once("://").ok_or_else(|| invalid("not a URL"))?;
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        let prefix = Path::from_url_path(path).map_err(|error| invalid(&error.to_string()))?;
        if host.is_empty() == matches!(scheme, "s3" | "gs" | "az") || rest.contains(['?', '#']) {
            return Err(invalid("not the URL of a store"));
        }
        let store: Result<Arc<dyn ObjectStore>, Error> = match scheme {
            "s3" => {
                let builder = AmazonS3Builder::from_env().with_url(url);
                timed("AWS", builder, |builder, timeout| {
                    builder.with_config(AmazonS3ConfigKey::Client(ClientConfigKey::Timeout), timeout)
                })
                .build()
                .map(|store| Arc::new(store) as _)
            }
            "gs" => {
                let builder = GoogleCloudStorageBuilder::from_env().with_url(url);
                timed("GOOGLE", builder, |builder, timeout| {
                    builder.with_config(GoogleConfigKey::Client(ClientConfigKey::Timeout), timeout)
                })
                .build()
                .map(|store| Arc::new(store) as _)
            }
            "az" => {
                let builder = MicrosoftAzureBuilder::from_env().with_url(url);
                timed("AZURE", builder, |builder, timeout| {
                    builder.with_config(AzureConfigKey::Client(ClientConfigKey::Timeout), timeout)
                })
                .build()
                .map(|store| Arc::new(store) as _)
            }
            "memory" => Ok(Arc::new(InMemory::new()) as _),
            "file" => return ObjectBlobs::directory(FilePath::new(&format!("/{prefix}"))),
            _ => return Err(invalid("not s3, gs, az, memory or file")),
        };
        ObjectBlobs::new(store.map_err(|error| invalid(&error.to_string()))?, prefix, Sharing::Service)
    }

    /// The place below `prefix` of a service that is set up already.
    #[cfg(test)]
    fn of_service(store: Arc<dyn ObjectStore>, prefix: &str) -> io::Result<ObjectBlobs> {
        ObjectBlobs::new(store, Path::parse(prefix).unwrap(), Sharing::Service)
    }

    fn directory(path: &FilePath) -> io::Result<ObjectBlobs> {
        os::open_root(path)?;
        let store = LocalFileSystem::new_with_prefix(path).map_err(io_error)?.with_fsync(true);
        ObjectBlobs::new(Arc::new(store), Path::default(), Sharing::Directory(path.into(), Mutex::default()))
    }

    fn new(store: Arc<dyn ObjectStore>, prefix: Path, sharing: Sharing) -> io::Result<ObjectBlobs> {
        // The provider of this program's other connections; the first one that is installed stays.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(RUNTIME_THREADS).thread_name("objects").enable_io().enable_time();
        Ok(ObjectBlobs { store, prefix, sharing, runtime: builder.build()? })
    }

    fn run<T>(&self, request: impl Future<Output = Result<T, Error>>) -> io::Result<T> {
        self.runtime.block_on(request).map_err(io_error)
    }

    fn folder(&self, kind: BlobKind) -> Path {
        self.prefix.clone().join(kind.folder())
    }

    fn path(&self, blob: &BlobName) -> Path {
        self.folder(blob.kind).join(blob.hash.to_string())
    }

    fn file(&self, name: &str) -> Path {
        self.prefix.clone().join(name)
    }

    /// Reads an object, or a range of it; of more than `bytes_max` bytes nothing.
    fn get(&self, path: &Path, range: Option<Range<u64>>, bytes_max: u64) -> io::Result<(ObjectMeta, Bytes)> {
        let options = GetOptions { range: range.map(GetRange::Bounded), ..GetOptions::default() };
        self.runtime.block_on(async {
            let result = self.store.get_opts(path, options).await.map_err(io_error)?;
            let (meta, announced) = (result.meta.clone(), result.range.end - result.range.start);
            if announced > bytes_max {
                return Err(invalid_data(format!("{path}: {announced} bytes, more than {bytes_max}")));
            }
            let mut stream = result.into_stream();
            let mut bytes = Vec::new();
            while let Some(piece) = stream.try_next().await.map_err(io_error)? {
                if (bytes.len() + piece.len()) as u64 > announced {
                    return Err(invalid_data(format!("{path}: more bytes than were announced")));
                }
                bytes.extend_from_slice(&piece);
            }
            match bytes.len() as u64 == announced {
                true => Ok((meta, bytes.into())),
                false => Err(io::ErrorKind::UnexpectedEof.into()),
            }
        })
    }

    fn put_object(&self, path: &Path, bytes: &Bytes, mode: PutMode) -> Result<PutResult, Error> {
        let payload = PutPayload::from(bytes.clone());
        self.runtime.block_on(self.store.put_opts(path, payload, PutOptions::from(mode)))
    }

    /// Writes under a condition, which makes it safe to try again, whatever became of the try before.
    fn put_under(&self, path: &Path, bytes: &Bytes, mode: &PutMode) -> Result<PutResult, Error> {
        for _ in 1..TRIES {
            match self.put_object(path, bytes, mode.clone()) {
                Err(Error::Generic { .. }) => {}
                result => return result,
            }
        }
        self.put_object(path, bytes, mode.clone())
    }

    fn put_parts(&self, path: &Path, bytes: &Bytes) -> io::Result<()> {
        self.run(async {
            let upload = self.store.put_multipart(path).await?;
            let mut writer = WriteMultipart::new_with_chunk_size(upload, PART_BYTES);
            for at in (0..bytes.len()).step_by(PART_BYTES) {
                if let Err(error) = writer.wait_for_capacity(PARTS_MAX).await {
                    // The first error says why.
                    let _ = writer.abort().await;
                    return Err(error);
                }
                writer.put(bytes.slice(at..bytes.len().min(at + PART_BYTES)));
            }
            writer.finish().await.map(drop)
        })
    }

    /// Whether a blob of that length is there.
    fn is_there(&self, path: &Path, len: usize) -> io::Result<bool> {
        match self.run(self.store.head(path)) {
            Ok(meta) => Ok(meta.size == len as u64),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Replaces the head of a directory, whose lock the caller has.
    fn replace_locked(
        &self,
        replacing: &Mutex<()>,
        expected: Option<&HeadVersion>,
        bytes: &Bytes,
    ) -> io::Result<Option<HeadVersion>> {
        let _replacing = replacing.lock().unwrap_or_else(PoisonError::into_inner);
        if self.head()?.map(|head| head.version).as_ref() != expected {
            return Ok(None);
        }
        self.put_object(&self.file("head"), bytes, PutMode::Overwrite).map_err(io_error)?;
        Ok(Some(digest_of(bytes)))
    }

    fn version(&self, e_tag: Option<String>, version: Option<String>, bytes: &[u8]) -> HeadVersion {
        match self.sharing {
            Sharing::Service => {
                HeadVersion(format!("{}\n{}", e_tag.unwrap_or_default(), version.unwrap_or_default()))
            }
            // A file's times say less than its bytes.
            Sharing::Directory(..) => digest_of(bytes),
        }
    }
}

impl Blobs for ObjectBlobs {
    fn put(&self, blob: &BlobName, bytes: &[u8]) -> io::Result<()> {
        let (path, bytes) = (self.path(blob), Bytes::copy_from_slice(bytes));
        if bytes.len() > PART_BYTES {
            return if self.is_there(&path, bytes.len())? { Ok(()) } else { self.put_parts(&path, &bytes) };
        }
        match self.put_object(&path, &bytes, PutMode::Create) {
            Ok(_) => return Ok(()),
            Err(Error::AlreadyExists { .. }) if self.is_there(&path, bytes.len())? => return Ok(()),
            // One that is there and is another has not the bytes of its name. Of one whose answer got lost nobody knows:
            // written twice it is the same, and that may be tried again.
            Err(Error::AlreadyExists { .. } | Error::NotImplemented { .. } | Error::Generic { .. }) => {}
            Err(error) => return Err(io_error(error)),
        }
        self.put_object(&path, &bytes, PutMode::Overwrite).map(drop).map_err(io_error)
    }

    fn read(&self, blob: &BlobName, range: Range<u64>) -> io::Result<Bytes> {
        let path = self.path(blob);
        let len = range.end.checked_sub(range.start).ok_or(io::ErrorKind::UnexpectedEof)?;
        if len == 0 {
            let ends_before = self.len(blob)? < range.end;
            return if ends_before { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(Bytes::new()) };
        }
        let (meta, bytes) = match self.get(&path, Some(range.clone()), len) {
            // Services say in many ways that a range begins behind the end.
            Err(error) if is_passing(&error) && self.len(blob)? < range.end => {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            result => result?,
        };
        if bytes.len() as u64 != len {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if range == (0..meta.size) && BlobName::of(blob.kind, &bytes) != *blob {
            return Err(invalid_data(format!("{path}: not the bytes of its name")));
        }
        Ok(bytes)
    }

    fn len(&self, blob: &BlobName) -> io::Result<u64> {
        Ok(self.run(self.store.head(&self.path(blob)))?.size)
    }

    fn list(&self, kind: BlobKind) -> io::Result<Vec<BlobInfo>> {
        let listed = match twice(|| self.run(self.store.list_with_delimiter(Some(&self.folder(kind))))) {
            // A directory in which nothing was put yet.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            listed => listed?,
        };
        let info = |meta: ObjectMeta| {
            let hash = meta.location.filename()?.parse().ok()?;
            let (secs, nanos) = (meta.last_modified.timestamp(), meta.last_modified.timestamp_subsec_nanos());
            Some(BlobInfo { name: BlobName { kind, hash }, len: meta.size, written: Time { secs, nanos } })
        };
        Ok(listed.objects.into_iter().filter_map(info).collect())
    }

    fn remove(&self, blob: &BlobName) -> io::Result<()> {
        match twice(|| self.run(self.store.delete(&self.path(blob)))) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            result => result,
        }
    }

    fn head(&self) -> io::Result<Option<Head>> {
        let (meta, bytes) = match self.get(&self.file("head"), None, HEAD_BYTES_MAX as u64) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            read => read?,
        };
        let version = self.version(meta.e_tag, meta.version, &bytes);
        Ok(Some(Head { bytes, version }))
    }

    fn replace_head(&self, expected: Option<&HeadVersion>, bytes: &[u8]) -> io::Result<Option<HeadVersion>> {
        let bytes = Bytes::copy_from_slice(bytes);
        if let Sharing::Directory(_, replacing) = &self.sharing {
            return self.replace_locked(replacing, expected, &bytes);
        }
        let mode = match expected {
            None => PutMode::Create,
            Some(HeadVersion(text)) => {
                let (e_tag, version) = text.split_once('\n').unwrap_or((text, ""));
                let [e_tag, version] =
                    [e_tag, version].map(|part| Some(part.to_owned()).filter(|part| !part.is_empty()));
                PutMode::Update(UpdateVersion { e_tag, version })
            }
        };
        let path = self.file("head");
        let failed = match self.put_under(&path, &bytes, &mode) {
            Ok(PutResult { e_tag, version, .. }) if e_tag.is_some() || version.is_some() => {
                return Ok(Some(self.version(e_tag, version, &bytes)));
            }
            Ok(_) | Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => None,
            Err(error) => Some(io_error(error)),
        };
        let ours = self.head()?.filter(|head| head.bytes == bytes).map(|head| head.version);
        match (ours, failed) {
            (Some(version), _) => Ok(Some(version)),
            (None, None) => Ok(None),
            (None, Some(error)) => Err(error),
        }
    }

    fn settings(&self) -> io::Result<Bytes> {
        Ok(self.get(&self.file("settings"), None, SETTINGS_BYTES_MAX)?.1)
    }

    fn put_settings(&self, bytes: &[u8]) -> io::Result<()> {
        let bytes = Bytes::copy_from_slice(bytes);
        match self.put_under(&self.file("settings"), &bytes, &PutMode::Create) {
            Ok(_) => Ok(()),
            Err(error @ (Error::AlreadyExists { .. } | Error::Generic { .. })) => match self.settings() {
                // No two stores have the same settings, so these are ours, and the answer got lost.
                Ok(settings) if settings == bytes => Ok(()),
                Ok(_) => Err(io::Error::new(io::ErrorKind::AlreadyExists, error)),
                Err(_) => Err(io_error(error)),
            },
            Err(error) => Err(io_error(error)),
        }
    }

    fn replace_settings(&self, bytes: &[u8]) -> io::Result<()> {
        let bytes = Bytes::copy_from_slice(bytes);
        self.put_under(&self.file("settings"), &bytes, &PutMode::Overwrite).map(drop).map_err(io_error)
    }

    fn lock(&self) -> io::Result<Locking> {
        match &self.sharing {
            Sharing::Service => Ok(Locking::Shared),
            Sharing::Directory(path, _) => {
                // The lock that a directory's other writers take.
                let path = path.join(BlobKind::Pack.folder());
                state::create_dir_all(&path, 0o700)?;
                let folder = os::open_root(&path)?;
                Ok(match folder.try_lock()? {
                    Ok(()) => Locking::Held(Box::new(Locked { _folder: folder })),
                    Err(pid) => Locking::Taken(pid),
                })
            }
        }
    }

    fn is_shared(&self) -> bool {
        matches!(self.sharing, Sharing::Service)
    }
}

impl fmt::Debug for ObjectBlobs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.store, self.prefix)
    }
}

/// Sets how long a request may take, if the environment does not.
fn timed<B>(service: &str, builder: B, set: impl Fn(B, &str) -> B) -> B {
    match std::env::var_os(format!("{service}_TIMEOUT")) {
        None => set(builder, REQUEST_TIMEOUT),
        Some(_) => builder,
    }
}

fn digest_of(head: &[u8]) -> HeadVersion {
    HeadVersion(Hash::of(Domain::Blob, head).to_string())
}

fn invalid_data(reason: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

/// Asks once more where the client does not: for what may have been done, and for the rest of an answer that was cut.
fn twice<T>(ask: impl Fn() -> io::Result<T>) -> io::Result<T> {
    ask().or_else(|error| if is_passing(&error) { ask() } else { Err(error) })
}

/// Whether it may be otherwise the next time.
fn is_passing(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::Other
}

fn io_error(error: Error) -> io::Error {
    let kind = match &error {
        Error::NotFound { .. } => io::ErrorKind::NotFound,
        Error::AlreadyExists { .. } => io::ErrorKind::AlreadyExists,
        Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => io::ErrorKind::PermissionDenied,
        Error::NotSupported { .. } | Error::NotImplemented { .. } => io::ErrorKind::Unsupported,
        Error::InvalidPath { .. } | Error::UnknownConfigurationKey { .. } => io::ErrorKind::InvalidInput,
        _ => io::ErrorKind::Other,
    };
    io::Error::new(kind, error)
}
