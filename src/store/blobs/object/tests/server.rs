//! A real S3 server in a process of its own: `moto_server`, from PyPI.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use object_store::{BackoffConfig, ClientOptions, RetryConfig};

use super::*;

const BUCKET: &str = "bucket";

pub(super) struct Server {
    pub(super) addr: SocketAddr,
    process: Child,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Server {
    /// Starts a server with one bucket; says so and gives none where the program is missing.
    #[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
    pub(super) fn start() -> Option<Server> {
        let addr = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let (host, port) = (addr.ip().to_string(), addr.port().to_string());
        let started = Command::new("moto_server")
            .args(["-H", &host, "-p", &port])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let process = match started {
            Ok(process) => process,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                eprintln!("skipped: no moto_server; python3 -m pip install 'moto[server]>=5.2'");
                return None;
            }
            Err(error) => panic!("{error}"),
        };
        let mut server = Server { addr, process };
        while TcpStream::connect(addr).is_err() {
            assert_eq!(server.process.try_wait().unwrap(), None, "moto_server ended");
            std::thread::sleep(Duration::from_millis(50));
        }
        let request =
            format!("PUT /{BUCKET} HTTP/1.1\r\nHost: {addr}\r\nContent-Length: 0\r\nConnection: close\r\n");
        let mut connection = TcpStream::connect(addr).unwrap();
        let signed =
            "Authorization: AWS4-HMAC-SHA256 Credential=k/20260101/us-east-1/s3/aws4_request, Signature=0";
        connection.write_all(format!("{request}{signed}\r\n\r\n").as_bytes()).unwrap();
        let mut answer = String::new();
        connection.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        Some(server)
    }
}

/// The place below a prefix of the bucket behind `addr`.
pub(super) fn blobs(addr: SocketAddr, prefix: &str, retries: usize, timeout: Duration) -> ObjectBlobs {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let [init_backoff, max_backoff] = [1, 5].map(Duration::from_millis);
    let retry = RetryConfig {
        backoff: BackoffConfig { init_backoff, max_backoff, ..BackoffConfig::default() },
        max_retries: retries,
        ..RetryConfig::default()
    };
    // A request a connection, so that what is done to a connection is done to a request.
    let client =
        ClientOptions::new().with_allow_http(true).with_timeout(timeout).with_pool_max_idle_per_host(0);
    let store = AmazonS3Builder::new()
        .with_bucket_name(BUCKET)
        .with_region("us-east-1")
        .with_access_key_id("k")
        .with_secret_access_key("s")
        .with_endpoint(format!("http://{addr}"))
        .with_client_options(client)
        .with_retry(retry)
        .build()
        .unwrap();
    ObjectBlobs::of_service(Arc::new(store), prefix).unwrap()
}

const LONG: Duration = Duration::from_secs(300);

#[test]
fn s3_conforms_and_decides_who_was_first() {
    let Some(server) = Server::start() else { return };
    conforms(&blobs(server.addr, "", 3, LONG));
    conforms(&blobs(server.addr, "some/prefix", 3, LONG));
    let counted = blobs(server.addr, "counted", 3, LONG);
    count(&counted, 5);

    let large = Noise(2).bytes(PART_BYTES + 5);
    let name = BlobName::of(BlobKind::Pack, &large);
    counted.put(&name, &large).unwrap();
    assert!(counted.read(&name, 0..large.len() as u64).unwrap() == large);

    // More than one page of them, and no two writers in each other's way.
    let names: Vec<BlobName> = std::thread::scope(|scope| {
        let put = |thread: u32| {
            let counted = &counted;
            let put = move |at: u32| {
                let bytes = (thread * 1000 + at).to_le_bytes();
                let name = BlobName::of(BlobKind::Index, &bytes);
                counted.put(&name, &bytes).map(|()| name).unwrap()
            };
            scope.spawn(move || (0..255).map(put).collect::<Vec<_>>())
        };
        let threads = [0, 1, 2, 3].map(put);
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    let mut listed: Vec<BlobName> =
        counted.list(BlobKind::Index).unwrap().into_iter().map(|info| info.name).collect();
    listed.sort_unstable();
    let mut names = names;
    names.sort_unstable();
    assert_eq!(names.len(), 1020);
    assert!(listed == names);
}
